"""What each value changes, beside SciPy's paired test."""

import pytest
from scipy import stats

from vit_train.sweep.effects import effect_table, effects


def complete(sweep, accuracies):
    for job, accuracy in zip(sweep.jobs, accuracies, strict=True):
        job.state, job.result = "completed", {"validation_accuracy": accuracy}


def test_a_value_is_held_against_the_first_in_runs_that_are_else_the_same(planned):
    sweep = planned("model.depth=1,2", "seed=0,1,2")
    first, second = [0.5, 0.6, 0.55], [0.58, 0.61, 0.62]
    complete(sweep, [*first, *second])
    (found,) = effects(sweep)
    interval = stats.ttest_rel(second, first).confidence_interval(0.95)
    assert (found.key, found.base, found.value, found.pairs) == ("model.depth", "1", "2", 3)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((interval.low, interval.high))


def test_a_run_without_its_pair_counts_for_nothing(planned):
    sweep = planned("model.depth=1,2", "model.patch_size=2,4,8")
    complete(sweep, [0.1, 0.2, 0.3, 0.4, 0.6, 0.9])
    sweep.jobs[5].state = "failed"
    found = {(each.key, each.value): each for each in effects(sweep)}
    assert found["model.depth", "2"].pairs == 2
    assert found["model.depth", "2"].mean == pytest.approx(0.35)
    assert found["model.patch_size", "8"].half is None
    assert found["model.patch_size", "8"].mean == pytest.approx(0.2)


def test_the_table_has_points_and_an_interval_with_its_signs(planned):
    sweep = planned("model.depth=1,2", "seed=0,1")
    complete(sweep, [0.5, 0.5, 0.51, 0.53])
    header, rows, texts = effect_table(effects(sweep))
    assert header[texts:] == ["difference", "95 % interval", "pairs"]
    assert rows == [["depth", "2", "1", "+2.00", "-10.71 to +14.71", "2"]]
