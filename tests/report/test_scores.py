"""What test_predictions.py does not ask: intervals, edges, classes without images."""

import numpy as np
import pytest

from vit_train.report.scores import calibration, evaluate, evaluate_classes, share
from vit_train.training.evaluate import from_logits


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (7, 7), (55, 100), (5514, 10_000)])
def test_intervals_are_wilsons(hits, count):
    """E. B. Wilson, 1927, with the 97.5 % point of the normal distribution."""
    z, p = 1.959963984540054, hits / count
    middle = (p + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    value, (low, high) = share(np.arange(count) < hits)
    assert value == p
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-12)


def guesses(labels, tops, classes=4):
    """Predictions whose most probable class is given."""
    return from_logits(5 * np.eye(classes, dtype=np.float32)[tops], np.array(labels))


def test_a_class_without_images_has_no_figures_and_does_not_count():
    found = guesses([0, 0, 1, 1], [0, 2, 1, 1])
    rows = evaluate_classes(found, ("a", "b", "c", "d"))
    c, d = rows[2:]
    assert (c.accuracy, c.top5_accuracy, c.precision, c.recall, c.support) == (None, None, 0, None, 0)
    assert (d.accuracy, d.top5_accuracy, d.precision, d.recall, d.f1, d.support) == (None, None, None, None, None, 0)
    assert evaluate(found).macro_recall == 0.75


def test_a_class_that_is_never_predicted_counts_as_precision_0():
    found = guesses([0, 0, 1], [0, 0, 0])
    assert evaluate_classes(found, ("a", "b", "c", "d"))[1].precision is None
    assert evaluate(found).macro_precision == pytest.approx(1 / 3)


def test_a_bin_holds_its_upper_edge():
    """Two equal logits are a confidence of exactly 1/2, four of 1/4; one is 1."""
    logits = np.array([[0, 0, -np.inf, -np.inf], [0, 0, 0, 0], [0, -np.inf, -np.inf, -np.inf]], np.float32)
    found = calibration(from_logits(logits, np.array([0, 1, 0])))
    assert np.flatnonzero(found.counts).tolist() == [3, 7, 14]
    assert found.accuracy[[3, 7, 14]].tolist() == [0, 1, 1]
    assert found.error == pytest.approx((0.25 + 0.5 + 0) / 3)


def test_without_superclasses_there_is_no_such_figure():
    assert evaluate(guesses([0], [0])).superclass_accuracy is None
