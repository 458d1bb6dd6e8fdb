"""Which run continues, with which config; runs themselves are killed and resumed in end_to_end/test_kills.py."""

from pathlib import Path

import pytest

from vit_train.config.compose import load_config, to_yaml
from vit_train.errors import ConfigError
from vit_train.rundir import resume
from vit_train.rundir.layout import RunDir


@pytest.fixture
def make(tmp_path):
    """Makes a run directory as an interrupted or finished run of a config leaves it."""

    def run(*overrides, finished=False):
        config = load_config([*overrides, f"outputs={tmp_path}"])
        directory = RunDir.create(config.outputs, config.dataset.name, config.model.name)
        directory.config.write_text(to_yaml(config))
        if finished:
            directory.report_json.write_text('{"status": "completed"}')
        return str(directory.path)

    return run


def test_without_resume_it_is_the_config_asked_for():
    assert resume.load(["dataset=digits"]) == load_config(["dataset=digits"])


def test_a_run_brings_its_own_config(make):
    path = make("dataset=digits", "model.depth=3", "schedule.warmup=7")
    config = resume.load([f"resume={path}"])
    assert (config.dataset.name, config.model.depth, config.resume) == ("digits", 3, path)


@pytest.mark.parametrize(
    "same",
    [
        "model.depth=3",
        "train.epochs=150",
        "train.checkpoint.every='1 minute'",
        "train.skip_nonfinite_steps=1",
        "compute.devices=all",
        "outputs=/x",
    ],
)
def test_what_agrees_or_cannot_change_a_result_may_be_given(make, same):
    resume.load([f"resume={make('dataset=digits', 'model.depth=3')}", same])


def test_what_differs_is_refused_key_by_key(make):
    path = make("dataset=digits")
    with pytest.raises(ConfigError) as error:
        resume.load([f"resume={path}", "model.depth=3", "seed=1", "train.epochs=200"])
    assert str(error.value) == (
        f"resume={path}: the run has model.depth=8, seed=42, which cannot change; start a new run to change it"
    )


def test_another_group_is_refused(make):
    path = make("dataset=digits")
    with pytest.raises(ConfigError, match=r"^dataset=cifar10: is a section; set one of its keys"):
        resume.load([f"resume={path}", "dataset=cifar10"])


def test_a_finished_run_can_only_be_extended(make):
    path = make("dataset=digits", finished=True)
    with pytest.raises(ConfigError, match=r": the run is finished; train.epochs above 100 extends it$"):
        resume.load([f"resume={path}"])
    assert resume.load([f"resume={path}", "train.epochs=150"]).train.epochs == 150


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(ConfigError, match=rf"^resume={tmp_path}: is not a run directory, it has no config.yaml$"):
        resume.load([f"resume={tmp_path}"])


def test_auto_takes_the_newest_unfinished_run_of_the_same_config(make, tmp_path):
    asked = ["dataset=digits", f"outputs={tmp_path}", "resume=auto"]
    assert resume.load(asked).resume is None
    make("dataset=digits")
    newest = make("dataset=digits", "train.epochs=50")
    make("dataset=digits", finished=True)
    make("dataset=digits", "seed=1")
    assert Path(resume.load(asked).resume) == Path(newest)
    assert resume.load([*asked, "seed=2"]).resume is None


def test_auto_notes_what_cannot_be_read_and_passes_it_over(make, tmp_path, capsys):
    asked = ["dataset=digits", f"outputs={tmp_path}", "resume=auto"]
    good, bad, newer = (Path(make("dataset=digits")) for _ in range(3))
    (bad / "config.yaml").write_bytes(b"\xff")
    text = (newer / "config.yaml").read_text()
    (newer / "config.yaml").write_text(text.replace("version: 2", "version: 9") + "later: 1\n")
    assert resume.load(asked).resume == str(good)
    notes = capsys.readouterr().err.splitlines()
    named = [note.split(": ")[1] for note in notes if note.startswith("note: ")]
    assert named == [f"{newer}/config.yaml", f"{bad}/config.yaml"]
