"""The matrix-multiplication-free model against keras-matmulless 0.1.2, whose values tests/parity wrote."""

from pathlib import Path

import numpy as np
import pytest

from vit_train.config.compose import load_config

pytestmark = pytest.mark.usefixtures("tensorflow")

GOLDEN = Path(__file__).parents[1] / "golden" / "matmul_free.npz"
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


def made(case):
    """(a layer or network, what gives its weights in the order of the library)."""
    from vit_train.models.matmul_free import GatedRecurrence, MatmulFreeBlock, TernaryPatchEmbedding
    from vit_train.models.ternary import RMSNorm, TernaryDense

    make, weights_of = {
        "norm": (RMSNorm, lambda layer: [layer.gain]),
        "dense": (lambda: TernaryDense(6), of_dense),
        "dense_of_tokens": (lambda: TernaryDense(6), of_dense),
        "recurrence": (GatedRecurrence, of_mixer),
        "block": (lambda: MatmulFreeBlock(12, dropout=0.1), of_block),
        "embedding": (lambda: TernaryPatchEmbedding(8), of_embedding),
        "network": (lambda: build(*SMALL, classes=5), of_network),
    }[case]
    return make(), weights_of


@pytest.mark.parametrize("case", ["norm", "dense", "dense_of_tokens", "recurrence", "block", "embedding", "network"])
def test_with_equal_weights_it_is_the_library(golden, case):
    """Outputs to 1e-5 and gradients, by the input and by every weight, to 1e-4 of their sizes."""
    import tensorflow as tf

    model, weights_of = made(case)
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


@pytest.mark.slow
def test_training_goes_on_after_a_reload_as_if_there_had_been_none(tmp_path):
    """From model.keras, and from the state that runs are resumed from."""
    import keras

    from vit_train.data.images import Examples
    from vit_train.training import state
    from vit_train.training.objective import compile_model

    random = np.random.default_rng(0)
    images, labels = random.uniform(0, 255, (4, 8, 12, 12, 3)).astype(np.float32), random.integers(0, 10, (4, 8))
    examples = Examples(np.zeros((8, 12, 12, 3), np.uint8), labels[0])
    config = load_config([*SMALL, "train.batch_size=8"])

    def fresh():
        keras.utils.clear_session()  # as in a process of its own, where names count from 0
        return compile_model(build(*SMALL), examples, config, "0123456789")

    model, resumed = fresh(), fresh()
    for x, y in zip(images[:2], labels[:2], strict=True):
        model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    arrays = state.all_arrays(model, model.metrics_variables)
    state.assign(arrays, ("model", resumed.variables), ("optimizer", resumed.optimizer.variables))
    for mine, theirs in zip(reloaded.variables, model.variables, strict=True):
        if "seed" in theirs.path:  # Keras does not keep the seeds of dropout in .keras files
            mine.assign(theirs)
        np.testing.assert_array_equal(mine, theirs)
    for x, y in zip(images[2:], labels[2:], strict=True):
        loss, *_ = model.train_on_batch(x, y)
        assert [other.train_on_batch(x, y)[0] for other in (reloaded, resumed)] == [loss, loss]
    for a, b, c in zip(model.variables, reloaded.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


JAX = """
import jax
import numpy as np
from models.test_matmul_free import GOLDEN, SMALL, build, of_network
network, golden = build(*SMALL, classes=5), np.load(GOLDEN)
weights = of_network(network)
for weight, name in zip(weights, sorted(n for n in golden.files if n.startswith("network/weight/")), strict=True):
    weight.assign(golden[name])
variables = [[v.value for v in vs] for vs in (network.trainable_variables, network.non_trainable_variables)]
def value(trainable):
    output, _ = network.stateless_call(trainable, variables[1], golden["network/input"], training=False)
    return (output * golden["network/cotangent"]).sum(), output
gradients, output = jax.jit(jax.grad(value, has_aux=True))(variables[0])
np.testing.assert_allclose(output, golden["network/output"], atol=1e-5)
place = {id(variable): index for index, variable in enumerate(network.trainable_variables)}
for index, weight in enumerate(weights):
    expected = golden[f"network/weight_gradient/{index:02}"]
    np.testing.assert_allclose(gradients[place[id(weight)]], expected, atol=1e-4 * np.abs(expected).max() + 1e-7)
"""


@pytest.mark.slow
def test_on_jax_it_is_the_library_too(run_on):
    run_on("jax", JAX)
