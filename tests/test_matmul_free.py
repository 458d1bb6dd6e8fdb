"""The matrix-multiplication-free model against keras-matmulless 0.1.2, whose values tests/parity wrote."""

from pathlib import Path

import numpy as np
import pytest

from vit_train.compose import load_config

pytestmark = pytest.mark.usefixtures("tensorflow")

GOLDEN = Path(__file__).parent / "golden" / "matmul_free.npz"
SMALL = ("model=matmul_free", "model.image_size=12", "model.patch_size=3", "model.projection_dim=8",
         "model.mlp_ratio=1.5", "model.depth=2", "model.head_units=[20,10]")  # fmt: skip


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return {name: file[name] for name in file.files}


def build(*overrides, classes=10):
    from vit_train.models.build import build_model

    return build_model(load_config(["model=matmul_free", *overrides]).model, classes)


def of_dense(layer):
    """The weights of a ternary dense layer in the order of the library."""
    return [layer.kernel, layer.bias, layer.norm.gain]


def of_mixer(layer):
    return [*of_dense(layer.gates), *of_dense(layer.projection)]


def of_embedding(layer):
    return [*of_dense(layer.projection), layer.positions]


def of_block(layer):
    mlp = [*of_dense(layer.gate_and_up), *of_dense(layer.down)]
    return [*of_mixer(layer.mixer), layer.mixer_norm.gain, *mlp, layer.mlp_norm.gain]


def of_network(network):
    blocks = [weight for layer in network.layers if layer.name.startswith("block") for weight in of_block(layer)]
    norm, logits = network.get_layer("norm"), network.get_layer("logits")
    heads = [*of_dense(network.get_layer("head_0")), *of_dense(network.get_layer("head_1"))]
    return [*of_embedding(network.get_layer("embedding")), *blocks, *norm.weights, *heads, *logits.weights]


def cases():
    from vit_train.models.matmul_free import GatedRecurrence, MatmulFreeBlock, TernaryPatchEmbedding
    from vit_train.models.ternary import RMSNorm, TernaryDense

    return {
        "norm": (RMSNorm(), lambda layer: [layer.gain]),
        "dense": (TernaryDense(6), of_dense),
        "dense_of_tokens": (TernaryDense(6), of_dense),
        "recurrence": (GatedRecurrence(), of_mixer),
        "block": (MatmulFreeBlock(12, dropout=0.1), of_block),
        "embedding": (TernaryPatchEmbedding(8), of_embedding),
        "network": (build(*SMALL, classes=5), of_network),
    }


@pytest.mark.parametrize("case", ["norm", "dense", "dense_of_tokens", "recurrence", "block", "embedding", "network"])
def test_with_equal_weights_it_is_the_library(golden, case):
    """Outputs to 1e-5 and gradients, by the input and by every weight, to 1e-4 of their sizes."""
    import tensorflow as tf

    model, weights_of = cases()[case]
    x = tf.constant(golden[f"{case}/input"])
    model(x)
    weights = weights_of(model)
    expected = [golden[name] for name in sorted(golden) if name.startswith(f"{case}/weight/")]
    for mine, theirs in zip(weights, expected, strict=True):
        mine.assign(theirs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = model(x, training=False) if case in ("block", "network") else model(x)
        value = tf.reduce_sum(output * golden[f"{case}/cotangent"])
    np.testing.assert_allclose(output, golden[f"{case}/output"], atol=1e-5)
    of_input, *of_weights = tape.gradient(value, [x, *(weight.value for weight in weights)])
    expected = [golden[name] for name in sorted(golden) if name.startswith(f"{case}/weight_gradient/")]
    for a, b in zip([of_input, *of_weights], [golden[f"{case}/gradient"], *expected], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max() + 1e-7)


def test_the_layers_have_the_parameters_of_the_tutorial():
    network = build()
    assert network.count_params() == 10_300_817
    counts = {layer.name: layer.count_params() for layer in network.layers if layer.count_params()}
    assert counts == {
        "normalization": 7,
        "embedding": 31_744,
        **{f"block_{index}": 69_440 for index in range(8)},
        "norm": 128,
        "head_0": 9_447_424,
        "head_1": 263_424,
        "logits": 2_570,
    }
