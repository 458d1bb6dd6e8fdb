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


def hashed(count, seed):
    """The random bits as numpy makes them, uint32 [count]."""

    def mix(bits):
        bits = (bits ^ (bits >> 16)) * np.uint32(0x7FEB352D)
        bits = (bits ^ (bits >> 15)) * np.uint32(0x846CA68B)
        return bits ^ (bits >> 16)

    return mix(mix(np.arange(count, dtype="uint32") + np.uint32(seed[0])) ^ np.uint32(seed[1]))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.999])
def test_the_bits_are_the_hash(tensorflow, rate):
    from vit_train.models.dropout import drop

    seed = np.array([4_000_000_000, 123], "uint32")
    expected = np.where(hashed(3000, seed) < round(rate * 2**32), 0, np.float32(1 / (1 - rate)))
    np.testing.assert_allclose(drop(np.ones((30, 100), "float32"), rate, seed), expected.reshape(30, 100), rtol=1e-6)


def test_calls_and_layers_drop_independently(tensorflow):
    from vit_train.models.dropout import Dropout

    x, layers = np.ones((300, 1000), "float32"), [Dropout(0.5, seed=seed) for seed in (0, 1, 2)]
    draws = [layer(x, training=True).numpy().ravel() > 0 for _ in range(3) for layer in layers]
    agreement = [(one == other).mean() for place, one in enumerate(draws) for other in draws[:place]]
    assert np.abs(np.array(agreement) - 0.5).max() < 5 * 0.5 / np.sqrt(x.size)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_no_place_is_dropped_more_often_than_others_over_the_calls(tensorflow, seed):
    from vit_train.models.dropout import Dropout

    layer, x = Dropout(0.3, seed=seed), np.ones((20, 50), "float32")
    dropped = np.mean([layer(x, training=True).numpy() == 0 for _ in range(500)], axis=0)
    assert np.abs(dropped - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / 500)


def test_gelu_before_it_is_that_of_keras(tensorflow):
    import keras
    import tensorflow as tf

    from vit_train.models.dropout import GeluDropout, drop

    layer, seed = GeluDropout(0.3), np.array([1, 2], "uint32")
    layer.next_seed = lambda: seed
    x = tf.constant(np.random.default_rng(0).normal(size=(50, 40)).astype("float32") * 3)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        found, expected = layer(x, training=True), keras.activations.gelu(x) * drop(tf.ones_like(x), 0.3, seed)
    # One unit in the last place of 1 + erf, for values around -5.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=3e-6)
    np.testing.assert_allclose(tape.gradient(found, x), tape.gradient(expected, x), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer(x), keras.activations.gelu(x))


BLOCK = """
import sys
import keras
import numpy as np
from vit_train.models.blocks import TransformerBlock
keras.utils.set_random_seed(0)
block, rng = TransformerBlock(3, 8, 16, dropout=0.3), np.random.default_rng(0)
block.build((None, 5, 8))
for weight in block.trainable_variables:
    weight.assign(rng.normal(size=weight.shape).astype("float32") / 2)
x, cotangent = rng.normal(size=(2, 4, 5, 8)).astype("float32")
if keras.config.backend() == "jax":
    import jax
    state = [variable.value for variable in block.non_trainable_variables]
    def value(trainable):
        output, _ = block.stateless_call(trainable, state, x, training=True)
        return (output * cotangent).sum(), output
    start = [variable.value for variable in block.trainable_variables]
    gradients, output = jax.jit(jax.grad(value, has_aux=True))(start)
else:
    import tensorflow as tf
    with tf.GradientTape() as tape:
        output = block(x, training=True)
        loss = tf.reduce_sum(output * cotangent)
    gradients = tape.gradient(loss, [variable.value for variable in block.trainable_variables])
np.savez(sys.argv[1], output, *gradients)
"""


@pytest.mark.slow
def test_both_backends_drop_the_same_in_a_block_and_have_the_same_gradients(run_on, tmp_path):
    results = []
    for backend in ("tensorflow", "jax"):
        run_on(backend, BLOCK, str(tmp_path / f"{backend}.npz"))
        results.append(np.load(tmp_path / f"{backend}.npz"))
    for name in results[0].files:
        np.testing.assert_allclose(results[0][name], results[1][name], rtol=1e-4, atol=1e-4)
