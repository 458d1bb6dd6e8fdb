import json

import numpy as np
import pytest

from vit_train.runs.cli import run as vit_runs

pytestmark = pytest.mark.usefixtures("eagerly")


def test_the_figures_are_those_of_the_report(trained, capsys):
    before = {path: path.stat().st_mtime_ns for path in trained.path.rglob("*")}
    assert vit_runs(["evaluate", str(trained.path)]) == 0
    (line,) = (line.split()[1::2] for line in capsys.readouterr().out.splitlines() if "test" in line)
    report = json.loads(trained.report_json.read_text())
    test = report["test"]
    shares = [f"{test['accuracy']:.2%}", f"{test['top5_accuracy']:.2%}"]
    assert line == ["test", str(report["split"]["test"]), f"{test['loss']:.4f}", *shares]
    assert {path: path.stat().st_mtime_ns for path in trained.path.rglob("*")} == before


def test_with_flip_the_mean_logits_of_an_image_and_its_mirror_image_decide(trained, capsys):
    from vit_train.data import sources
    from vit_train.rundir import records
    from vit_train.runs.loading import load

    assert vit_runs(["evaluate", str(trained.path), "--tta", "flip"]) == 0
    model, _ = load(trained)
    test = sources.load_dataset(records.load_config(trained)).test
    logits = sum(np.asarray(model(images)) for images in (test.images, test.images[:, :, ::-1])) / 2
    right = np.mean(logits.argmax(axis=1) == test.labels)
    assert f"│ test, tta=flip │     {len(test)} │" in (printed := capsys.readouterr().out)
    assert f"{right:.2%}" in printed


def test_a_data_set_named_is_taken_whole(trained, capsys):
    assert vit_runs(["evaluate", str(trained.path), "--dataset", "digits"]) == 0
    assert "│ test │    360 │" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--dataset", "cifar"], 2, "dataset.name=cifar: must be one of cifar10, "),
        (["--root", "/tmp"], 2, "dataset.root=/tmp: dataset=digits comes with scikit-learn and takes no root"),
        (["--dataset", "cifar10", "--root", "/absent"], 3, ""),
    ],
)
def test_what_is_not_there_is_a_sentence(trained, capsys, arguments, code, message):
    assert vit_runs(["evaluate", str(trained.path), *arguments]) == code
    assert capsys.readouterr().err.startswith(f"vit-runs: {message}")


def test_a_data_set_of_another_kind_is_a_sentence(trained, tmp_path, capsys):
    from PIL import Image

    for name in "ab":
        (tmp_path / name).mkdir()
        for shade in range(9):
            Image.new("RGB", (9, 9), (shade, 0, ord(name))).save(tmp_path / name / f"{shade}.png")
    assert vit_runs(["evaluate", str(trained.path), "--dataset", "folder", "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith(
        "\nvit-runs: --dataset folder: its classes are a, b, ... (2), and those of the model 0, 1, 2, ... (10); they "
        "must be the same, in the same order\n"
    )


def test_an_option_of_ones_own_has_its_defaults(trained, tmp_path, monkeypatch, capsys):
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/mine.yaml").write_text("defaults: [digits, _self_]\nvalidation: 0.3\n")
    monkeypatch.chdir(tmp_path)
    assert vit_runs(["evaluate", str(trained.path), "--dataset", "mine"]) == 0
    (line,) = (line.split()[1::2] for line in capsys.readouterr().out.splitlines() if "test" in line)
    assert line[:2] == ["test", "360"]
