import shlex

import pytest

from vit_train.errors import CheckpointError
from vit_train.rundir import records

LINE = "2026-11-22 18:37:39,361 {} {}\n"


def test_states(made):
    assert records.state(made("a", val_accuracy=[0.5], test_accuracy=0.5)) == "completed"
    killed = made("b", val_accuracy=[0.5])
    assert records.state(killed) == "interrupted"
    with killed.locked():
        assert records.state(killed) == "running"
    assert records.state(killed) == "interrupted"


@pytest.mark.parametrize(
    ("log", "state"),
    [
        ([("INFO", "vit, 129,041 parameters"), ("ERROR", "the loss is nan in epoch 1")], "failed"),
        ([("ERROR", "unexpected error\nTraceback (most recent call last):\n  File ...\nKeyError: 1")], "failed"),
        ([("ERROR", "stopped by SIGTERM")], "interrupted"),
        ([("ERROR", "the loss is nan"), ("INFO", "resuming after step 6, in epoch 1")], "interrupted"),
        ([], "interrupted"),
    ],
)
def test_without_a_report_the_log_tells_how_a_run_ended(made, log, state):
    run = made("a")
    run.log.write_text("".join(LINE.format(*entry) for entry in log))
    assert records.state(run) == state


@pytest.mark.parametrize(
    ("status", "state"), [("failed", "failed"), ("interrupted", "interrupted"), ("reporting", "interrupted")]
)
def test_a_report_may_say_how_a_run_ended(made, status, state):
    run = made("a")
    run.report_json.write_text(f'{{"status": "{status}"}}')
    assert records.state(run) == state


@pytest.mark.parametrize(
    ("file", "content", "read"),
    [
        ("config.yaml", "a: [1", records.read_config),
        ("config.yaml", "", records.read_config),
        ("config.yaml", "\x00\x01", records.read_config),
        ("history.csv", "epoch,loss\n1,x\n", records.read_rows),
        ("history.csv", "epoch,loss\n1\n", records.read_rows),
        ("history.csv", "epoch\n1,2\n", records.read_rows),
        ("history.csv", "", records.read_rows),
        ("report.json", "{", records.read_report),
        ("report.json", "null", records.read_report),
    ],
)
def test_a_damaged_file_is_named(made, file, content, read):
    run = made("a")
    (run.path / file).write_text(content)
    with pytest.raises(CheckpointError) as error:
        read(run)
    assert str(error.value).startswith(f"{run.path / file}: cannot be read (")
    repaired = f"; make it again with: vit-runs repair {shlex.quote(str(run.path))}"  # what the checkpoint has
    assert str(error.value).endswith(repaired) == (file != "config.yaml")
    assert records.attempt(read, run) is None
    assert records.state(run) == "interrupted"


def test_an_absent_config_is_named(made):
    run = made("a")
    run.config.unlink()
    with pytest.raises(CheckpointError, match=r"config.yaml: cannot be read \(No such file or directory\)"):
        records.read_config(run)


def test_what_is_not_there_yet_is_empty(made):
    run = made("a")
    assert records.read_rows(run) == []
    assert records.read_report(run) == {}
    assert records.read_config(run)["train.early_stopping.monitor"] == "val_accuracy"
