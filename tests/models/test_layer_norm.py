import numpy as np
import pytest

BOTH_WAYS = """
import sys
import keras, numpy as np
from keras import ops
from vit_train.models.layer_norm import LayerNorm

precision, tolerance = sys.argv[1], float(sys.argv[2])
rng = np.random.default_rng(0)
layer = LayerNorm(epsilon=1e-6, dtype=precision)
layer.build((None, 5, 8))
layer.gamma.assign(rng.normal(size=8))
layer.beta.assign(rng.normal(size=8))
x, weights = rng.normal(3, 2, (4, 5, 8)).astype("float32"), rng.normal(size=(4, 5, 8)).astype("float32")

def loss(values, training):
    x, gamma, beta = values
    with keras.StatelessScope(state_mapping=[(layer.gamma, gamma), (layer.beta, beta)]):
        return ops.sum(ops.cast(layer(x, training=training), "float32") * weights)

values = [ops.convert_to_tensor(np.asarray(each)) for each in (x, layer.gamma, layer.beta)]
if keras.config.backend() == "jax":
    import jax
    gradients = jax.grad(loss)
else:
    import tensorflow as tf
    def gradients(values, training):
        with tf.GradientTape() as tape:
            tape.watch(values)
            result = loss(values, training)
        return tape.gradient(result, values)
results = [[layer(x, training=way), *gradients(values, way)] for way in (True, False)]
for ours, theirs in zip(*results, strict=True):
    assert ours.dtype == theirs.dtype
    ours, theirs = (np.asarray(ops.cast(each, "float32")) for each in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
"""


@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", "1e-5"), ("mixed_bfloat16", "2e-2")])
def test_outputs_and_gradients_in_training_are_those_of_keras(run_on, backend, precision, tolerance):
    run_on(backend, BOTH_WAYS, precision, tolerance)


def test_each_token_is_normalised(tensorflow):
    from vit_train.models.layer_norm import LayerNorm

    x = np.random.default_rng(0).normal(3, 2, (4, 5, 8)).astype("float32")
    y = LayerNorm(epsilon=1e-6)(x, training=True).numpy()
    np.testing.assert_allclose(y, (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True), rtol=1e-5, atol=1e-5)
