import json

import numpy as np
import pytest

from vit_train.rundir import predictions
from vit_train.rundir.predictions import Predictions
from vit_train.sweep import board, results


def said(rows):
    """Predictions for some rows of a data set, which can be told by them."""
    rows = np.array(rows)
    share = ((rows + 1) / 20).astype(np.float32)
    return Predictions((rows % 2).astype(np.int32), np.stack([rows % 2, 1 - rows % 2], 1).astype(np.int32),
                       np.stack([1 - share, share], 1), 1 - share, share, share)  # fmt: skip


@pytest.fixture
def sweep(planned, ran):
    """Three folds of 7 images with two seeds, of which the second does better, all runs completed."""
    sweep = planned("dataset.folds=3", "seed=1,2", "dataset.fold=range(3)")
    for job in sweep.jobs:
        run = ran(sweep, job, [0.5 + job.number / 100], test=0.4)
        rows = [row for row in range(7) if row % 3 == int(job.varied["dataset.fold"])]
        files = [f"/pets/{row}{job.varied['seed']}.png" for row in rows]
        predictions.write(said(rows), ("a", "b"), run.out_of_fold, files, rows)
        run.environment.write_text(json.dumps({"class_names": ["a", "b"]}))
        job.state, job.result = "completed", results.result(sweep.run(job))
    return sweep


def test_every_image_is_there_once_and_in_order(sweep):
    board.write(sweep)
    found = predictions.read(sweep.path / "predictions.csv")
    np.testing.assert_array_equal(found.true_probabilities, said(range(7)).true_probabilities)
    assert found.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert predictions.read_files(sweep.path / "predictions.csv") == [f"/pets/{row}1.png" for row in range(7)]
    page = (sweep.path / "sweep.html").read_text()
    assert "<h1>6 runs, 53.50% ± " in page
    assert "Folds share most of what they learn from" in page


def test_a_fold_that_is_missing_is_said(sweep, capsys):
    sweep.run(sweep.jobs[1]).out_of_fold.unlink()
    board.write(sweep)
    assert "note: 2 of 3 folds are there, so there is no predictions.csv in" in capsys.readouterr().err
    assert not (sweep.path / "predictions.csv").exists()


def test_folds_of_other_data_are_not_joined(sweep, capsys):
    run = sweep.run(sweep.jobs[1])
    predictions.write(said([0, 1]), ("a", "b"), run.out_of_fold, ["/x", "/y"], [0, 1])
    board.write(sweep)
    assert "note: the folds are not of one data set" in capsys.readouterr().err
