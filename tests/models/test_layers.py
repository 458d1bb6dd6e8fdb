import math

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def array(tensor):
    import keras

    return keras.ops.convert_to_numpy(tensor)


def test_patches_are_those_of_tensorflow():
    import tensorflow as tf

    from vit_train.models.stems import Patches

    images = np.random.default_rng(0).random((2, 12, 18, 3), np.float32)
    expected = tf.image.extract_patches(images, [1, 6, 6, 1], [1, 6, 6, 1], [1, 1, 1, 1], "VALID").numpy()
    np.testing.assert_array_equal(array(Patches(6)(images)), expected.reshape(2, 6, 108))


def test_sincos_positions_by_hand():
    from vit_train.models.stems import sincos_positions

    table = sincos_positions(tokens=9, width=8)
    for token in range(9):
        row, column = token // 3, token % 3
        expected = [
            f(place * frequency) for place in (column, row) for f in (math.sin, math.cos) for frequency in (1, 1e-4)
        ]
        np.testing.assert_allclose(table[token], expected, atol=1e-6)


@pytest.mark.parametrize("position_embedding", ["learned", "sincos", "none"])
@pytest.mark.parametrize("class_token", [False, True])
def test_the_embedding_projects_and_adds_positions(position_embedding, class_token):
    from vit_train.models.stems import PatchEmbedding, sincos_positions

    layer = PatchEmbedding(8, position_embedding, class_token)
    patches = np.random.default_rng(0).random((2, 4, 12), np.float32)
    tokens = array(layer(patches))
    assert tokens.shape == (2, 4 + class_token, 8)
    expected = patches @ array(layer.projection.kernel) + array(layer.projection.bias)
    positions = np.zeros((4 + class_token, 8), np.float32)
    if position_embedding == "learned":
        positions = array(layer.positions)
        assert np.abs(positions).max() <= 0.05
    elif position_embedding == "sincos":
        positions[class_token:] = sincos_positions(4, 8)
    np.testing.assert_allclose(tokens[:, class_token:], expected + positions[class_token:], atol=1e-6)
    if class_token:
        np.testing.assert_allclose(tokens[:, 0], np.broadcast_to(positions[0], (2, 8)), atol=1e-6)


def erf(x):
    return np.vectorize(math.erf)(x)


def gelu(x):
    return x * (1 + erf(x / math.sqrt(2))) / 2


def normalised(x, norm):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * array(norm.gamma) + array(norm.beta)


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def test_a_block_is_what_the_formula_says():
    """Pre-norm attention and MLP in numpy, float64."""
    from vit_train.models.blocks import TransformerBlock

    block = TransformerBlock(heads=3, key_dim=5, mlp_dim=16, dropout=0.1)
    x = np.random.default_rng(0).normal(size=(2, 7, 8)).astype(np.float32)
    result = array(block(x))
    names = {weight.path.split("/", 1)[1]: array(weight).astype(float) for weight in block.weights}
    assert len(names) == 16
    y = normalised(x.astype(float), block.attention_norm)
    query, key, value = (
        np.einsum("bnd,dhk->bhnk", y, names[f"attention/{part}/kernel"]) + names[f"attention/{part}/bias"][:, None]
        for part in ("query", "key", "value")
    )
    weights = softmax(query @ key.swapaxes(-1, -2) / math.sqrt(5))
    output = np.einsum("bhnk,hkd->bnd", weights @ value, names["attention/attention_output/kernel"])
    z = x + output + names["attention/attention_output/bias"]
    y = gelu(normalised(z, block.mlp_norm) @ names["mlp_hidden/kernel"] + names["mlp_hidden/bias"])
    z = z + gelu(y @ names["mlp_output/kernel"] + names["mlp_output/bias"])
    np.testing.assert_allclose(result, z, atol=2e-5)


def test_dropout_acts_in_training_only():
    from vit_train.models.blocks import TransformerBlock

    block = TransformerBlock(heads=2, key_dim=4, mlp_dim=16, dropout=0.5)
    x = np.random.default_rng(0).normal(size=(2, 7, 8)).astype(np.float32)
    np.testing.assert_array_equal(array(block(x)), array(block(x, training=False)))
    assert not np.allclose(array(block(x)), array(block(x, training=True)))


# Limits and standard deviations as REFERENCE: measured with Keras 2.15 and Keras 3.15 for heads of 64 on 64 channels.
@pytest.mark.parametrize(
    ("initializer", "inward", "outward"),
    [("glorot_2021", (0.0371, 0.0215), (0.1083, 0.0627)), ("glorot", (0.1369, 0.079), (0.1369, 0.079))],
)
def test_attention_kernels_start_as_measured(initializer, inward, outward):
    from vit_train.models.blocks import TransformerBlock

    block = TransformerBlock(heads=4, key_dim=64, mlp_dim=128, attention_initializer=initializer)
    block.build((None, 144, 64))
    for part, (limit, deviation) in (("query", inward), ("key", inward), ("value", inward), ("output", outward)):
        kernel = array(getattr(block.attention, f"{part}_dense").kernel)
        assert limit * 0.995 < np.abs(kernel).max() < limit * 1.002
        assert kernel.std() == pytest.approx(deviation, rel=0.02)
        assert abs(kernel.mean()) < 0.002
    kernels = [array(getattr(block.attention, f"{part}_dense").kernel) for part in ("query", "key", "value")]
    assert not np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[1], kernels[2])
