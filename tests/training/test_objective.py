"""Loss and metrics of batches, against formulas by hand."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_the_mean_loss_is_over_finite_examples():
    from vit_train.training.objective import FiniteCrossEntropy

    metric = FiniteCrossEntropy()
    assert np.isnan(metric.result())
    metric.update_state(np.array([0, 1]), np.float32([[0, 0], [0, np.nan]]))
    metric.update_state(np.array([1]), np.float32([[np.log(3), 0]]))
    assert float(metric.result()) == pytest.approx((np.log(2) + np.log(4)) / 2)


def test_examples_of_weight_0_are_not_counted():
    from vit_train.training.objective import FiniteCrossEntropy

    metric = FiniteCrossEntropy()
    metric.update_state(np.array([0, 1]), np.float32([[0, 0], [0, 9]]), np.float32([1.5, 0]))
    assert float(metric.result()) == pytest.approx(np.log(2))
