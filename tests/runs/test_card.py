from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from made_up import run_of

from vit_train.data.superclasses import CIFAR100
from vit_train.report import writer
from vit_train.runs.cli import run as vit_runs

GOLDEN = Path(__file__).resolve().parents[1] / "golden/runs/v1/finished"


def card_of(folder, capsys, names, *overrides, more=()):
    run, _, report = run_of(folder, names, 3, *overrides)
    writer.write(report, run)
    assert vit_runs(["card", str(run.path), *more]) == 0
    text = capsys.readouterr().out
    return ModelCard(text, ignore_metadata_errors=False), report, text


def test_the_hubs_library_reads_what_was_measured(tmp_path, capsys):
    """ModelCard raises if metadata or results are not as the Hub has them."""
    names = tuple(sorted(" ".join(CIFAR100.values()).split()))
    card, report, text = card_of(tmp_path, capsys, names, more=["--license", "apache-2.0"])
    data = card.data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "vit-train", "image-classification")
    assert (data.datasets, data.model_name) == (["uoft-cs/cifar100"], "vit-cifar100")
    assert [(each.metric_type, each.metric_name, each.metric_value) for each in data.eval_results] == [
        ("accuracy", "test accuracy", report.test.accuracy),
        ("accuracy", "top-5 test accuracy", report.test.top5_accuracy),
        ("accuracy", "balanced test accuracy", report.test.balanced_accuracy),
        ("f1", "macro F1", report.test.macro_f1),
    ]
    place = {(each.dataset_type, each.dataset_name, each.dataset_split, each.task_type) for each in data.eval_results}
    assert place == {("uoft-cs/cifar100", "CIFAR-100", "test", "image-classification")}
    assert f"- Test accuracy {report.test.accuracy:.2%} (95 % interval" in card.text
    assert "| worm |" in card.text
    assert str(tmp_path) not in text


def test_what_was_not_told_or_measured_is_not_there(tmp_path, capsys):
    overrides = ("dataset=folder", "dataset.root=/home/me/pets", "dataset.fraction=0.5", f"init={GOLDEN}")
    card, _, text = card_of(tmp_path, capsys, ("cat", "dog"), *overrides)
    assert not {"license", "datasets", "base_model"} & card.data.to_dict().keys()
    assert [each.metric_name for each in card.data.eval_results] == [
        "test accuracy", "balanced test accuracy", "macro F1"
    ]  # fmt: skip
    assert card.data.eval_results[0].dataset_args == {"fraction": 0.5}
    assert "/home/me" not in text
    assert str(GOLDEN) not in text
    assert "- Started from the weights of another run or file" in card.text


def test_a_run_of_an_older_version_has_a_card(capsys):
    assert vit_runs(["card", str(GOLDEN)]) == 0
    card = ModelCard(capsys.readouterr().out, ignore_metadata_errors=False)
    assert card.data.model_name == "vit-digits"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(GOLDEN), "--license", "My Own"], "--license My Own: must be an id as the Hub has it, such as apache-2.0"),
        (
            [str(GOLDEN.with_name("interrupted"))],
            "interrupted: has no test figures, so there is nothing to tell",
        ),
    ],
)
def test_a_mistake_is_one_sentence(capsys, arguments, message):
    assert vit_runs(["card", *arguments]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""
