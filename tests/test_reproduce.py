"""The protocol of docs/results.md, on a row that takes seconds."""

import json
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from vit_train import cli
from vit_train.rundir import history

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "reproduce.py"
ROWS = """
tiny:
  arguments: experiment=quickstart debug=fast model.depth=1 model.image_size=8 dataset.fraction=0.3 figures=false
  seeds: 42
  of: 100
  published: {accuracy: 0.5, top5_accuracy: 0.75}
  note: a row for the test
tuned:
  arguments: >-
    experiment=probe dataset=digits dataset.fraction=0.3 debug=fast figures=false
  init: tiny
  seeds: 7
  note: from the weights of the first
other:
  arguments: ""
  seeds: 42
  note: another one
"""
PAGE = "# Results\n\n<!-- written by make reproduce -->\nold\n<!-- until here -->\n\nBelow.\n"


@pytest.fixture
def reproduce(tmp_path, monkeypatch, eagerly):
    """Runs the script, its runs of vit-train in this process; returns the exit code and counts the runs."""
    (tmp_path / "rows.yaml").write_text(ROWS)
    (tmp_path / "results.md").write_text(PAGE)
    main = runpy.run_path(str(SCRIPT))["main"]
    calls = []

    def run(command, check):
        calls.append(command)
        return SimpleNamespace(returncode=cli.run(command[3:]))

    def reproduce(*arguments):
        places = [
            "--docs",
            str(tmp_path),
            "--outputs",
            str(tmp_path / "outputs"),
            "--rows",
            str(tmp_path / "rows.yaml"),
        ]
        monkeypatch.setattr("sys.argv", ["reproduce.py", *arguments, *places])
        return main(), len(calls)

    main.__globals__["subprocess"] = SimpleNamespace(run=run)
    return reproduce


@pytest.mark.slow
def test_seeds_are_measured_once_and_tabled(reproduce, tmp_path, capsys):
    assert reproduce("tiny", "--seeds", "1,2") == (0, 2)
    first, second = json.loads((tmp_path / "results.json").read_text())
    assert (first["row"], first["seed"], second["seed"]) == ("tiny", 1, 2)
    assert len(first["epochs"]) == 1
    page = (tmp_path / "results.md").read_text()
    mean = (first["test"]["accuracy"] + second["test"]["accuracy"]) / 2
    assert f"| `tiny` | 0.500 / 0.750 | {mean:.3f} ± " in page
    assert "| `other` | - | not measured |" in page
    assert "old" not in page
    assert page.endswith("<!-- until here -->\n\nBelow.\n")
    assert " | 2 | 1 of 100 | " in page
    assert reproduce("tiny", "--seeds", "2") == (0, 2)
    assert "tiny, seed 2: is in" in capsys.readouterr().out
    assert reproduce("tun*", "loss.label_smoothing=0.1") == (
        0,
        4,
    )  # the first seed of the other row, which was not trained yet, and itself
    *_, tuned = json.loads((tmp_path / "results.json").read_text())
    assert tuned["command"].endswith("figures=false loss.label_smoothing=0.1 init=RUN_OF_TINY seed=7")


def test_the_status_trains_nothing(reproduce, finished, tmp_path, capsys):
    (tmp_path / "results.json").write_text(json.dumps([{"row": "tiny", "seed": 1}]))
    folder = tmp_path / "outputs" / "tiny" / "seed-2" / "day"
    shutil.copytree(finished.path, folder / "run")
    assert reproduce("t*", "--seeds", "1,2", "--status") == (0, 0)
    best = max(row["val_accuracy"] for row in history.read(finished.history))
    assert capsys.readouterr().out.splitlines() == [
        "tiny, seed 1: measured",
        f"tiny, seed 2: completed, epoch 2 of 2, validation accuracy {best:.4f}",
        "tuned, seed 1: not begun",
        "tuned, seed 2: not begun",
    ]


def test_a_row_that_is_not_there_is_named(reproduce, capsys):
    with pytest.raises(SystemExit):
        reproduce("fastest")
    assert "no row is called fastest; the rows are tiny, tuned, other" in capsys.readouterr().err


def test_a_run_that_fails_ends_it_and_nothing_is_recorded(reproduce, tmp_path):
    assert reproduce("tiny", "model.patch_size=3") == (2, 1)
    assert not (tmp_path / "results.json").exists()


def test_minutes_and_operations_until_a_mark(monkeypatch):
    from benchmarks import time_to_accuracy
    from vit_train.config.compose import load_config

    monkeypatch.setattr(time_to_accuracy, "training_flop", lambda config, size: size / time_to_accuracy.IMAGES)
    config = load_config(["experiment=fast", "train.epochs=3", "train.low_resolution_epochs=1"])
    runs = [
        [{"val_accuracy": accuracy, "seconds": 60.0 * (seed + 1)} for accuracy in (0.3, 0.5, last)]
        for seed, last in enumerate((0.7, 0.56))
    ]
    minutes, flop = time_to_accuracy._of_recipe("fast", config, runs)
    assert minutes == "| `fast`, 2 seeds | minutes | 3.0 | 3.0 | 4.5 |  |  |  |  |"  # not both pass 60 %
    assert flop == "| | FLOP | 5.6e+01 | 5.6e+01 | 8.8e+01 |  |  |  |  |"  # of 24 pixels once, and of 32
