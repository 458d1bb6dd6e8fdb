"""A finished run whose files are damaged: repaired, used from its checkpoint, and left alone where it cannot go on."""

import json
import shutil

import numpy as np
import pytest
from killing import differences, result_of

from vit_train.errors import CheckpointError, ConfigError
from vit_train.run import train
from vit_train.rundir import resume
from vit_train.rundir.layout import RunDir
from vit_train.runs.cli import run as vit_runs
from vit_train.runs.loading import load
from vit_train.runs.repair import repair

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the run that tests share."""
    return RunDir(shutil.copytree(finished.path, tmp_path / "run"))


def logits(run):
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), dtype=np.uint8)
    return np.asarray(load(run)[0](images, training=False))


def files_of(run):
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path != run.log}


def test_whatever_follows_from_the_checkpoint_is_made_again(finished, run):
    run.model.write_bytes(run.model.read_bytes()[:1000])
    run.report_json.write_text("{")
    run.predictions.write_text("index")
    for path in (run.history, run.report_html, run.report_md):
        path.unlink()
    repair(run.path)
    assert differences(result_of(run.path), result_of(finished.path)) == []
    np.testing.assert_array_equal(logits(run), logits(finished))
    assert run.report_html.exists()


def test_an_unfinished_run_is_not_repaired(made):
    run = made("18-00-00.1-digits-vit")
    with pytest.raises(ConfigError, match=r"has not come to its end; continue with vit-train resume="):
        repair(run.path)


def test_without_its_model_a_run_gives_its_best_weights_and_says_so(finished, run, capsys):
    run.model.unlink()
    np.testing.assert_array_equal(logits(run), logits(finished))
    assert "has no model.keras; these are its best weights of the first 2 of 2 epochs" in capsys.readouterr().err
    values = json.loads(run.environment.read_text())
    run.environment.write_text(json.dumps({key: values[key] for key in values if key != "class_names"}))
    assert load(run)[1] == tuple("0123456789")


@pytest.mark.parametrize("damage", ["cut", "emptied"])
def test_a_finished_run_that_cannot_be_extended_is_left_as_it_is(run, damage):
    (newest,) = run.checkpoints.glob("step-*")
    if damage == "cut":
        (newest / "latest.npz").write_bytes(b"")
    else:
        shutil.rmtree(newest)
    before = files_of(run)
    with pytest.raises(CheckpointError, match=r"start a new run$"):
        train(resume.load([f"resume={run.path}", "train.epochs=3"]))
    assert files_of(run) == before
    assert run.finished


def test_a_figure_that_cannot_be_drawn_is_an_exit_code_and_costs_no_page(run, monkeypatch, capsys):
    monkeypatch.setattr("vit_train.report.gallery.draw", lambda *arguments: [])
    run.report_html.write_text("the good page")
    run.predictions.write_text("damaged")
    assert vit_runs(["figures", str(run.path)]) == 4
    assert run.report_html.read_text() == "the good page"
    assert "report.html could not be made" in capsys.readouterr().err
