"""Runs that earlier versions left behind are read, and continued to the end that those versions came to.

Each folder of tests/golden/runs/ is one format: a finished run, an interrupted one, what that ended as when the version
that began it continued it, and a sweep. A new format is a new folder.
"""

import csv
import json
import shutil
from pathlib import Path

import pytest

from vit_train.rundir import history, resume
from vit_train.rundir.layout import RunDir
from vit_train.runs.cli import run as vit_runs

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "runs"
NAMES = {
    "finished": "2026-11-26/10-00-00.000000-digits-vit",
    "interrupted": "2026-11-26/11-00-00.000000-digits-vit",
    "sweep": "2026-11-26/12-00-00.000000-sweep",
}

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(params=sorted(path.name for path in GOLDEN.iterdir()))
def outputs(request, tmp_path, monkeypatch):
    """A folder of runs of one format, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for part, name in NAMES.items():
        shutil.copytree(GOLDEN / request.param / part, tmp_path / "outputs" / name)
    shutil.copytree(GOLDEN / request.param / "continued", tmp_path / "continued")
    return Path("outputs")


def report_of(path):
    return json.loads((path / "report.json").read_text())


def test_they_are_listed_shown_and_compared(outputs, capsys):
    assert vit_runs(["list", "--json"]) == 0
    listed = capsys.readouterr()
    finished, interrupted, *of_sweep = json.loads(listed.out)
    assert listed.err == ""
    assert finished["test_accuracy"] == report_of(outputs / NAMES["finished"])["test"]["accuracy"]
    assert (finished["state"], finished["epochs"]) == ("completed", 2)
    assert (interrupted["state"], interrupted["epochs"], interrupted["epochs_asked"]) == ("interrupted", 3, 5)
    assert [run["state"] for run in of_sweep] == ["completed", "completed"]

    for name in ("finished", "interrupted"):
        assert vit_runs(["show", str(outputs / NAMES[name])]) == 0
        shown = capsys.readouterr()
        assert (outputs / NAMES[name] / "report.md").read_text().splitlines()[0] in shown.out
        assert shown.err == ""

    assert vit_runs(["compare", "10-00", "11-00"]) == 0
    compared = capsys.readouterr()
    (row,) = (line for line in compared.out.splitlines() if "train.epochs" in line)
    assert row.replace("│", " ").split() == ["train.epochs", "2", "5"]
    assert compared.err == ""


def test_a_finished_one_is_evaluated_and_drawn_again(outputs, capsys):
    path = outputs / NAMES["finished"]
    before = report_of(path)
    assert vit_runs(["evaluate", str(path)]) == 0
    assert f"{before['test']['accuracy']:.2%}" in capsys.readouterr().out

    assert vit_runs(["figures", str(path)]) == 0
    assert "could not be made" not in capsys.readouterr().err
    assert (path / "figures" / "confusion.png").is_file()
    assert f"{before['test']['accuracy']:.2%}" in (path / "report.html").read_text()
    assert report_of(path) == before


def test_an_interrupted_one_is_found_and_ends_as_it_did_then(outputs, capsys):
    from vit_train.run import train

    path, then = outputs / NAMES["interrupted"], Path("continued")
    config = resume.load(["resume=auto", f"outputs={outputs}"], str(path / "config.yaml"))
    assert config.resume == str(path)
    train(config)
    assert "note: " not in capsys.readouterr().err

    # Nearly so: processors differ in the order in which they add.
    names = history.read(then / "history.csv")[0].keys() - {"seconds", "images_per_second"}
    now, before = (history.read(folder / "history.csv") for folder in (path, then))
    assert len(now) == len(before)
    for ours, theirs in zip(now, before, strict=True):
        assert {name: ours[name] for name in names} == pytest.approx({name: theirs[name] for name in names}, rel=1e-3)
    ours, theirs = (report_of(folder)["test"] for folder in (path, then))
    for name, value in theirs.items():
        assert ours[name] == (value if value is None else pytest.approx(value, rel=1e-3))
    ours, theirs = (probabilities(folder / "predictions.csv") for folder in (path, then))
    assert ours == pytest.approx(theirs, rel=1e-3)


def probabilities(path):
    with path.open(newline="") as file:
        return [float(row["true_probability"]) for row in csv.DictReader(file)]


def test_a_sweep_is_continued(outputs, capsys):
    from vit_train.sweep import command

    path = outputs / NAMES["sweep"]
    before = [job["result"] for job in json.loads((path / "sweep.json").read_text())["jobs"]]
    assert command.run([f"sweep.resume={path}"], None) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == str(path)
    assert "note: " not in printed.err
    after = json.loads((path / "sweep.json").read_text())
    results = [{name: value for name, value in job["result"].items() if name != "run"} for job in after["jobs"]]
    assert results == [{name: value for name, value in result.items() if name != "run"} for result in before]
    assert [RunDir(Path(job["result"]["run"])).finished for job in after["jobs"]] == [True, True]
