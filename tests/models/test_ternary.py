"""By hand; against the original in test_matmul_free.py."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_kernels_and_activations_are_rounded_as_the_paper_says():
    from vit_train.models.ternary import kernel_scale, quantise_activations, quantise_kernel

    w = np.array([[0.1, -0.9], [0.3, 0.0], [-0.2, 0.3]], np.float32)  # the mean of |w| is 0.3
    np.testing.assert_allclose(kernel_scale(w), 0.3, rtol=1e-6)
    np.testing.assert_array_equal(quantise_kernel(w, kernel_scale(w)), [[0, -1], [1, 0], [-1, 1]])
    counts, step = quantise_activations(np.array([[2.0, -1.0, 0.003], [0.0, 0.0, 0.0]], np.float32))
    np.testing.assert_array_equal(counts, [[127, -64, 0], [0, 0, 0]])  # halves go to the even number
    np.testing.assert_allclose(step, [[2 / 127], [1e-5 / 127]], rtol=1e-6)


def test_a_layer_of_zeros_has_finite_gradients():
    import tensorflow as tf

    from vit_train.models.ternary import TernaryDense

    layer = TernaryDense(4)
    layer.build((None, 3))
    with tf.GradientTape() as tape:
        x = tf.zeros((2, 3))
        tape.watch(x)
        y = layer(x)
    np.testing.assert_array_equal(y, np.zeros((2, 4)))
    for gradient in tape.gradient(y, [x, *(weight.value for weight in layer.weights)]):
        assert np.isfinite(gradient).all()


def test_bfloat16_rounds_the_result_only():
    import keras

    from vit_train.models.ternary import TernaryDense

    x = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    exact, rounded = TernaryDense(7), TernaryDense(7, dtype=keras.DTypePolicy("mixed_bfloat16"))
    exact.build(x.shape)
    rounded.build(x.shape)
    rounded.set_weights(exact.get_weights())
    x = keras.ops.convert_to_numpy(keras.ops.cast(keras.ops.cast(x, "bfloat16"), "float32"))
    y = rounded(x)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    assert {weight.dtype for weight in rounded.weights} == {"float32"}
    np.testing.assert_array_equal(y, keras.ops.cast(exact(x), "bfloat16"))
