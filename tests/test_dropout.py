import numpy as np
import pytest


@pytest.fixture
def drop(tensorflow):
    """Gives `drop(rate, x)`: what the layer makes of x in training, and the gradient of its sum."""
    import tensorflow as tf

    from vit_train.models.dropout import Dropout

    def run(rate, x, seed=0):
        layer, x = Dropout(rate, seed=seed), tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return y.numpy(), tape.gradient(y, x).numpy()

    return run


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_asked_for_share_is_dropped_and_the_rest_is_scaled(drop, rate):
    x = np.random.default_rng(0).normal(size=(200, 7, 143)).astype("float32")  # an odd last axis
    y, gradient = drop(rate, x)
    dropped = gradient == 0
    standard_error = np.sqrt(rate * (1 - rate) / x.size)
    assert abs(dropped.mean() - rate) < 4 * standard_error + 2**-17
    np.testing.assert_allclose(y, np.where(dropped, 0, x / (1 - rate)), rtol=1e-6)
    np.testing.assert_allclose(gradient[~dropped], 1 / (1 - rate), rtol=1e-6)


def test_neighbours_are_dropped_independently(drop):
    kept = drop(0.5, np.ones((1000, 1000), "float32"))[0] > 0
    for axis in (0, 1):
        for apart in (1, 2, 3):
            first, second = np.delete(kept, range(apart), axis), np.delete(kept, range(-apart, 0), axis)
            assert abs((first == second).mean() - 0.5) < 4 * 0.5 / 1000


def test_the_seed_decides(drop):
    x = np.ones((10, 10), "float32")
    assert np.array_equal(drop(0.5, x)[0], drop(0.5, x)[0])
    assert not np.array_equal(drop(0.5, x)[0], drop(0.5, x, seed=1)[0])


def test_outside_training_and_with_a_rate_of_0_nothing_is_dropped(tensorflow):
    from vit_train.models.dropout import Dropout

    x = np.ones((3, 4), "float32")
    assert np.array_equal(Dropout(0.5)(x), x)
    assert np.array_equal(Dropout(0.0)(x, training=True), x)
