import numpy as np
import pytest
from scipy.stats import t as student

from vit_train.sweep import ranking


def complete(job, validation, test):
    job.state = "completed"
    job.result = {"validation_accuracy": validation, "test_accuracy": test, "parameters": 1_234_567, "seconds": 3600.0}


@pytest.fixture
def sweep(planned):
    """Two depths with three seeds each, of which one run failed."""
    sweep = planned("model.depth=1,2", "seed=range(3)")
    for job, (validation, test) in zip(sweep.jobs, [(0.5, 0.9), (0.6, 0.1), (0.7, None)] * 2, strict=True):
        complete(job, validation + 0.01 * (job.number > 3), test)
    sweep.jobs[5].fail(5, "diverged")
    return sweep


def test_validation_decides_and_the_test_set_never(sweep):
    assert [job.number for job in ranking.ranked(sweep)] == [3, 5, 2, 4, 1]
    assert [job.number for job in ranking.unfinished(sweep)] == [6]


def test_mean_and_standard_deviation_over_seeds_are_those_of_numpy(sweep):
    first, second = ranking.spreads(sweep)
    assert (first.varied, first.runs) == ({"model.depth": "1"}, 3)
    assert first.validation_mean == pytest.approx(np.mean([0.5, 0.6, 0.7]))
    assert first.validation_std == pytest.approx(np.std([0.5, 0.6, 0.7], ddof=1))
    assert (first.test_mean, first.test_std) == pytest.approx((np.mean([0.9, 0.1]), np.std([0.9, 0.1], ddof=1)))
    assert (second.varied, second.runs) == ({"model.depth": "2"}, 2)


def test_one_run_has_no_deviation_and_no_seeds_no_spread(planned):
    sweep = planned("seed=1,2")
    complete(sweep.jobs[0], 0.5, None)
    (spread,) = ranking.spreads(sweep)
    assert (spread.validation_std, spread.test_mean, spread.test_std) == (None, None, None)
    assert ranking.spread_table([spread])[1] == [["1", "50.00%", "-", "-", "-"]]
    assert ranking.spreads(planned("model.depth=1,2")) == []


def test_the_interval_over_folds_is_that_of_nadeau_and_bengio(planned):
    sweep = planned("dataset.folds=4", "dataset.fold=range(4)", "seed=1,2")
    values = [0.5, 0.6, 0.7, 0.65, 0.55, 0.5, 0.6, 0.7]
    for job, value in zip(sweep.jobs, values, strict=True):
        complete(job, value, 0.5)
    (spread,) = ranking.spreads(sweep)
    assert (spread.varied, spread.runs, spread.validation_mean) == ({}, 8, pytest.approx(np.mean(values)))
    scale = np.std(values, ddof=1) * np.sqrt(1 / 8 + (1 / 4) / (3 / 4))  # 1/n + images tested / images learned from
    assert spread.validation_interval == pytest.approx(student.ppf(0.975, 7) * scale)
    header, rows = ranking.spread_table([spread])
    assert header[:3] == ["runs", "val mean", "val 95 %"]
    assert rows[0][:3] == ["8", "60.00%", f"± {spread.validation_interval:.2%}"]


def test_the_table_has_what_varied_and_the_figures(sweep):
    header, rows, text_columns = ranking.job_table(sweep.keys, ranking.ranked(sweep))
    assert header == ["run", "depth", "seed", "val", "test", "params", "time"]
    assert rows[0] == ["3", "1", "2", "70.00%", "-", "1,234,567", "1:00:00"]
    assert text_columns == 3


def test_where_there_is_no_room_what_varied_is_in_one_column(sweep):
    header, rows, text_columns = ranking.job_table(sweep.keys, ranking.ranked(sweep), room=58)
    assert (len(header), text_columns) == (7, 3)
    header, rows, text_columns = ranking.job_table(sweep.keys, ranking.ranked(sweep), room=57)
    assert header == ["run", "what varies", "val", "test", "params", "time"]
    assert rows[0] == ["3", "depth=1, seed=2", "70.00%", "-", "1,234,567", "1:00:00"]
    assert text_columns == 2


def test_keys_with_the_same_last_part_are_shown_whole():
    keys = ["train.checkpoint.monitor", "train.early_stopping.monitor", "seed"]
    assert ranking.labels(keys) == keys
