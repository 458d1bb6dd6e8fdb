import json

import pytest

from vit_train.runs.cli import run as vit_runs


@pytest.fixture
def outputs(made, tmp_path):
    made("18-00-00.1-cifar100-vit", ["train.epochs=3"], [0.1, 0.3, 0.2], test_accuracy=0.25)
    made("18-00-01.1-digits-vit", ["dataset=digits"], [0.5])
    half = made("18-00-02.1-digits-vit")
    half.config.unlink()
    damaged = made("18-00-03.1-digits-vit", val_accuracy=[0.5], test_accuracy=0.5)
    for path in (damaged.config, damaged.history, damaged.report_json):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] + b"\xff\x00")
    return tmp_path / "outputs"


def test_a_line_for_each_run_however_damaged(outputs, capsys):
    assert vit_runs(["list", "--outputs", str(outputs)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["run", "data", "model", "state", "epochs", "val", "test"]
    assert lines[2:] == [
        ["11-22/18-00-00", "cifar100", "vit", "completed", "3/3", "30.0%", "25.0%"],
        ["11-22/18-00-01", "digits", "vit", "interrupted", "1/100", "50.0%", "-"],
        ["11-22/18-00-02", "-", "-", "interrupted", "0/-", "-", "-"],
        ["11-22/18-00-03", "-", "-", "interrupted", "0/-", "-", "-"],
    ]


def test_json_says_it_in_full(outputs, capsys):
    assert vit_runs(["list", "--outputs", str(outputs), "--json"]) == 0
    first, *_, last = json.loads(capsys.readouterr().out)
    assert first == {
        "name": "2026-11-22/18-00-00.1-cifar100-vit",
        "path": str(outputs / "2026-11-22/18-00-00.1-cifar100-vit"),
        "dataset": "cifar100",
        "model": "vit",
        "epochs": 3,
        "epochs_asked": 3,
        "best_val_accuracy": 0.3,
        "test_accuracy": 0.25,
        "state": "completed",
    }
    assert last["dataset"] is None


def test_a_folder_without_runs_says_so(tmp_path, capsys):
    assert vit_runs(["list", "--outputs", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"there are no runs in {tmp_path}; vit-train makes one")
