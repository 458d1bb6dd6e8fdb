"""Attention against the layer's formula written in numpy, and rollout against a loop."""

import keras
import numpy as np
import pytest
from scipy.special import erf, softmax

from vit_train.config.compose import load_config
from vit_train.models.attention import attention_weights, over_patches, rollout
from vit_train.models.build import build_model

pytestmark = pytest.mark.usefixtures("tensorflow")

SMALL = ("model.image_size=8", "model.patch_size=4", "model.projection_dim=8", "model.heads=2", "model.head_units=[]")


def network(*overrides):
    keras.utils.set_random_seed(1)
    built = build_model(load_config([*SMALL, "model.depth=2", *overrides]).model, 3)
    generator = np.random.default_rng(0)
    built.set_weights([weight + generator.normal(0, 0.3, weight.shape) for weight in built.get_weights()])
    built.get_layer("normalization").adapt_mean.assign([120.0] * 3)
    built.get_layer("normalization").adapt_variance.assign([900.0] * 3)
    built.get_layer("normalization").finalize_state()
    return built


def images(count=3):
    return np.random.default_rng(1).uniform(0, 255, (count, 8, 8, 3)).astype("float32")


def norm(x, layer):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * layer.gamma.numpy() + layer.beta.numpy()


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


@pytest.mark.parametrize("pooling", ["flatten", "class_token"])
def test_weights_are_those_of_the_formula(pooling):
    """softmax(q k / sqrt(width of a head)), block by block (Vaswani et al., arXiv 1706.03762)."""
    built = network(f"model.pooling={pooling}")
    embedding = keras.Model(built.input, built.get_layer("embedding").output)
    x = embedding.predict_on_batch(images()).astype(float)
    found = attention_weights(built, images())
    assert len(found) == 2
    for index, weights in enumerate(found):
        block = built.get_layer(f"block_{index}")
        dense = {name: [w.numpy() for w in getattr(block.attention, f"_{name}_dense").weights] for name in
                 ("query", "key", "value", "output")}  # fmt: skip
        y = norm(x, block.attention_norm)
        q, k, v = (np.einsum("bnd,dhe->bhne", y, dense[name][0]) + dense[name][1][:, None] for name in
                   ("query", "key", "value"))  # fmt: skip
        expected = softmax(q @ k.swapaxes(2, 3) / np.sqrt(q.shape[-1]), axis=-1)
        np.testing.assert_allclose(weights, expected, atol=1e-5)
        x = x + np.einsum("bhne,hed->bnd", expected @ v, dense["output"][0]) + dense["output"][1]
        hidden = gelu(norm(x, block.mlp_norm) @ block.mlp_hidden.kernel.numpy() + block.mlp_hidden.bias.numpy())
        x = x + gelu(hidden @ block.mlp_output.kernel.numpy() + block.mlp_output.bias.numpy())


def test_a_single_block_has_its_weights():
    (weights,) = attention_weights(network("model.depth=1"), images())
    assert weights.shape == (3, 2, 4, 4)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)


def test_a_network_without_attention_has_none():
    inputs = keras.Input((8, 8, 3))
    assert attention_weights(keras.Model(inputs, keras.layers.Flatten()(inputs)), images()) == []


def test_rollout_follows_every_path():
    generator = np.random.default_rng(0)
    weights = [softmax(generator.normal(size=(2, 3, 4, 4)), axis=-1) for _ in range(3)]
    found = rollout(weights)
    for image in range(2):
        flow = np.eye(4)
        for block in weights:
            flow = (0.5 * np.eye(4) + 0.5 * sum(block[image]) / 3).dot(flow)
        np.testing.assert_allclose(found[image], flow)
    np.testing.assert_allclose(found.sum(-1), 1)


def test_the_class_token_looks_for_itself():
    flow = np.random.default_rng(0).uniform(0.1, 1, (2, 5, 5))
    found = over_patches(flow, network("model.pooling=class_token"))
    own = flow[:, 0, 1:]
    np.testing.assert_allclose(found.reshape(2, 4), own / own.mean(axis=1, keepdims=True))


def test_without_one_all_tokens_look():
    flow = np.random.default_rng(0).uniform(0.1, 1, (2, 4, 4))
    found = over_patches(flow, network("model.pooling=average"))
    np.testing.assert_allclose(found.mean(axis=(1, 2)), 1)
    np.testing.assert_allclose(found[1, 1, 0] / found[1, 0, 1], flow[1, :, 2].sum() / flow[1, :, 1].sum())
