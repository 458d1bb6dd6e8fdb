import csv
import json
from pathlib import Path

import numpy as np
import pytest
from runs.conftest import config_yaml

from vit_train.config.compose import load_config
from vit_train.data.sources import load_dataset
from vit_train.rundir import predictions
from vit_train.rundir.layout import RunDir
from vit_train.runs.cli import run as vit_runs
from vit_train.runs.wrong_labels import likely_wrong
from vit_train.training.evaluate import from_logits

DIGITS = ("dataset=digits", "dataset.fraction=0.1", "dataset.folds=3", "dataset.fold=0")


def said(probabilities, labels):
    return from_logits(np.log(np.array(probabilities)), np.array(labels))


def test_the_rule_by_hand():
    probabilities = [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.45, 0.55], [0.1, 0.9], [0.7, 0.3], [0.45, 0.55]]
    labels = [0, 0, 0, 0, 1, 1, 1]
    # The thresholds are (0.9 + 0.7 + 0.2 + 0.45) / 4 = 0.5625 and (0.9 + 0.3 + 0.55) / 3 = 0.583: row 2 counts as 1,
    # row 5 as 0, and rows 3 and 6 as none.
    rows, rather, margins = likely_wrong(said(probabilities, labels), 2)
    assert (rows.tolist(), rather.tolist()) == ([2, 5], [1, 0])
    assert margins == pytest.approx([0.2 - 0.8, 0.3 - 0.7], abs=1e-6)


def test_a_class_without_a_picture_is_no_answer():
    rows, *_ = likely_wrong(said([[0.1, 0.1, 0.8], [0.2, 0.6, 0.2], [0.1, 0.8, 0.1]], [0, 1, 1]), 3)
    assert rows.tolist() == []


def test_it_is_the_confident_joint_of_the_paper():
    """Of 400 pictures of 4 classes with 15 % of other labels, by equations 1 and 2 of arXiv 1911.00068, in loops."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, 400)
    labels = np.where(generator.random(400) < 0.15, generator.integers(0, 4, 400), truth)
    logits = 1.5 * np.eye(4)[truth] + generator.normal(size=(400, 4))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    t = [np.mean([p[x, j] for x in range(400) if labels[x] == j]) for j in range(4)]
    off_diagonal = []
    for x in range(400):
        confident = [j for j in range(4) if p[x, j] >= t[j]]
        if confident and max(confident, key=lambda j: p[x, j]) != labels[x] != p[x].argmax():
            off_diagonal.append(x)
    rows, _, margins = likely_wrong(said(p, labels), 4)
    assert sorted(rows.tolist()) == off_diagonal
    assert (np.diff(margins) >= 0).all()


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep over folds of a tenth of the digits, whose predictions.csv doubts two labels."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "outputs/2026-11-27/18-00-00.000000-sweep"
    run = RunDir(path / "jobs/1-fold-0/2026-11-27/18-00-01.000000-digits-vit")
    run.checkpoints.mkdir(parents=True)
    run.config.write_text(config_yaml(*DIGITS))
    run.environment.write_text(json.dumps({"working_directory": str(tmp_path)}))
    labels = load_dataset(load_config(DIGITS)).train.labels
    logits = 5.0 * np.eye(10)[labels]
    for row, boost in ((3, 8.0), (40, 9.0)):
        logits[row, (labels[row] + 1) % 10] = boost
    predictions.write(from_logits(logits, labels), tuple("0123456789"), path / "predictions.csv")
    return path


def test_the_check_has_wrong_labels_first(sweep, capsys):
    assert vit_runs(["check", "--sweep", str(sweep)]) == 0
    with Path("check/findings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["kind"]) for row in rows[:2]] == [("train/40", "wrong"), ("train/3", "wrong")]
    label = int(rows[0]["class"])
    assert rows[0]["reason"] == f"rather {(label + 1) % 10}: 98%, {label} 2%"
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "wrong" in line)
    assert line.split()[-2] == "2"
    with Path("check/exclude.csv").open(newline="") as file:
        assert {"train/40", "train/3"} <= {row["path"] for row in csv.DictReader(file)}
    page = Path("check/check.html").read_text()
    assert page.index("Likely wrong labels") < page.index("train/40") < page.index("train/3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], "DATA: is not there; name a folder of pictures, a table, or --sweep DIR"),
        (["check", "digits", "--sweep", "{sweep}"], "--sweep {sweep}: says which data are meant; leave out digits"),
        (
            ["check", "--sweep", "nowhere"],
            "--sweep nowhere: is no sweep that has run every fold, as vit-train",
        ),
    ],
)
def test_what_is_meant_is_clear(sweep, capsys, arguments, message):
    assert vit_runs([each.format(sweep=sweep) for each in arguments]) == 2
    assert capsys.readouterr().err.startswith(f"vit-runs: {message.format(sweep=sweep)}")


def test_predictions_of_other_data_are_refused(sweep, capsys):
    found = predictions.read(sweep / "predictions.csv")
    predictions.write(predictions.take(found, np.arange(5)), tuple("0123456789"), sweep / "predictions.csv")
    assert vit_runs(["check", "--sweep", str(sweep)]) == 2
    assert "its pictures have other labels by now; run it again" in capsys.readouterr().err
    (sweep / "predictions.csv").write_text("x")
    assert vit_runs(["check", "--sweep", str(sweep)]) == 4
    assert "predictions.csv: cannot be read (it is not the predictions.csv of a run" in capsys.readouterr().err
    assert not Path("check").exists()
