import math
from types import SimpleNamespace

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def newton_schulz(g):
    """zeropower_via_newtonschulz5 of K. Jordan's Muon (github.com/KellerJordan/Muon), in float64."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if g.shape[0] > g.shape[1] else x


def muon_by_hand(w, gradients, rate, decay):
    """muon_update of the reference with Moonlight's scale (arXiv 2502.16982, equation 4), over matrices [R, C]."""
    buffer = np.zeros_like(w)
    for gradient in gradients:
        buffer = 0.95 * buffer + 0.05 * gradient
        ahead = 0.05 * gradient + 0.95 * buffer
        w = w - rate * decay * w - rate * 0.2 * math.sqrt(max(w.shape)) * newton_schulz(ahead)
    return w


@pytest.mark.parametrize("shape", [(6, 6), (3, 20), (20, 3), (64, 128)])
def test_newton_schulz_is_that_of_the_reference(shape):
    from vit_train.training.muon import orthogonal

    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    ours = np.asarray(orthogonal(matrix))
    np.testing.assert_allclose(ours, newton_schulz(matrix.astype(np.float64)), atol=2e-5)
    singular = np.linalg.svd(ours, compute_uv=False)
    assert 0.6 < singular.min() <= singular.max() < 1.3
    half = np.asarray(orthogonal(matrix, "bfloat16"))
    assert np.linalg.norm(half - ours) < 0.1 * np.linalg.norm(ours)


@pytest.mark.parametrize(
    ("path", "shape", "expected"),
    [
        ("block_0/attention/query/kernel", (64, 4, 16), (64, 64)),
        ("block_0/attention/attention_output/kernel", (4, 16, 64), (64, 64)),
        ("block_0/mlp_hidden/kernel", (64, 128), (64, 128)),
        ("conv2_block1/conv/kernel", (3, 3, 16, 32), (144, 32)),
        ("block_0/convolution/kernel", (3, 3, 128), None),
        ("block_0/depthwise/kernel", (3, 3, 128, 1), None),
        ("block_0/attention/query/bias", (4, 16), None),
        ("block_0/norm/gamma", (64,), None),
    ],
)
def test_what_is_a_matrix(path, shape, expected):
    from vit_train.training.muon import matrix_shape

    assert matrix_shape(SimpleNamespace(path=path, shape=shape)) == expected


def test_the_step_has_the_shape_of_the_variable_where_a_graph_does_not_know_the_gradient_s():
    import tensorflow as tf

    from vit_train.training.muon import muon_step

    @tf.function(input_signature=[tf.TensorSpec([None, 6])], autograph=False)
    def step(gradient):
        found, _ = muon_step(tf.zeros((4, 6)), gradient, 0.95, (4, 6), "float32")
        assert found.shape == (4, 6)
        return found

    gradient = np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32)
    expected, _ = muon_step(np.zeros((4, 6), np.float32), gradient, 0.95, (4, 6), "float32")
    np.testing.assert_allclose(step(gradient), expected, atol=1e-5)


def test_the_step_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    from vit_train.training.muon import muon_step

    random = np.random.default_rng(1)
    start, gradients = random.normal(size=(12, 30)), random.normal(size=(4, 12, 30))
    theirs = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    optimizer = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    ours, m = start.astype(np.float32), np.zeros((12, 30), np.float32)
    for gradient in gradients.astype(np.float32):
        theirs.grad = torch.tensor(gradient)
        optimizer.step()
        step, m = muon_step(m, gradient, 0.95, (12, 30), "float32")
        ours = ours - 0.02 * 0.1 * ours - 0.02 * np.asarray(step)
    moved = np.linalg.norm(ours - start)
    assert np.linalg.norm(ours - theirs.detach().numpy()) < 0.05 * moved  # it multiplies in bfloat16


ATTENTION, MLP = "block_0/attention", "block_0/mlp"
MATRICES = {
    f"{ATTENTION}/query/kernel": (8, 10),
    f"{ATTENTION}/key/kernel": (8, 10),
    f"{ATTENTION}/value/kernel": (8, 10),
    f"{ATTENTION}/attention_output/kernel": (10, 8),
    f"{MLP}_hidden/kernel": (8, 16),
    f"{MLP}_output/kernel": (16, 8),
}


def test_matrices_of_the_blocks_follow_the_reference_and_the_rest_adamw(tiny):
    """In a Vision Transformer, attention's kernels among them as matrices; the others as AdamW would move them."""
    from vit_train.models.build import build_model
    from vit_train.training.groups import treatments
    from vit_train.training.optimizer import build_optimizer

    options = ["optimizer.learning_rate=0.02", "optimizer.weight_decay=0.1", "optimizer.decay=scaled"]
    configs = {
        "muon": tiny("optimizer=muon", "model.key_dim=5", *options),
        "adamw": tiny("model.key_dim=5", "optimizer.beta_2=0.95", *options),
    }
    network = build_model(configs["muon"].model, 10)
    variables = network.trainable_variables
    start = [np.asarray(variable) for variable in variables]
    gradients = [np.random.default_rng(2).normal(size=(3, *each.shape)).astype(np.float32) for each in start]
    found = {each.variable.path: each.matrix for each in treatments(configs["muon"].optimizer, network) if each.matrix}
    assert found == MATRICES
    moved = {}
    for name, config in configs.items():
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        optimizer = build_optimizer(config, network, 2)
        for step in range(3):
            optimizer.apply([gradient[step] for gradient in gradients], variables)
        moved[name] = {variable.path: np.asarray(variable) for variable in variables}
    for variable, value, gradient in zip(variables, start, gradients, strict=True):
        ours = moved["muon"][variable.path]
        if shape := MATRICES.get(variable.path):
            own = [each.reshape(shape) for each in gradient.astype(np.float64)]
            expected = muon_by_hand(value.astype(np.float64).reshape(shape), own, 0.02, 0.1)
            np.testing.assert_allclose(ours.reshape(shape), expected, atol=1e-4)
        else:
            np.testing.assert_array_equal(ours, moved["adamw"][variable.path], err_msg=variable.path)


def small_network(*names):
    """Dense layers of these names, one behind the other."""
    import keras

    x = inputs = keras.Input((3,))
    for name in names:
        x = keras.layers.Dense(3, name=name)(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("blocks", [("block_0", "block_1"), ("conv2_block1_1_conv", "conv2_block2_out")])
def test_layers_learn_slower_the_deeper_they_are(tiny, blocks):
    """BEiT's get_layer_id_for_vit: layer_decay ** (blocks + 1 - i), where i is 0 for the stem and blocks + 1 behind."""
    from vit_train.training.groups import treatments

    network = small_network("embedding", *blocks, "norm", "logits")
    found = treatments(tiny("optimizer.layer_decay=0.5").optimizer, network)
    assert [each.learning_rate for each in found[::2]] == [0.125, 0.25, 0.5, 1, 1]
    assert [each.reason.split(", ")[1] for each in found[::2]] == ["stem", "block 0", "block 1", "head", "head"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "optimizer.layer_decay=0.5",
            "optimizer.layer_decay=0.5: this model has no blocks to tell depth by; set",
        ),
        ("optimizer=muon", "optimizer=muon: this model has no matrix to train inside of blocks; use optimizer=adamw"),
    ],
)
def test_a_model_without_blocks_is_refused(tiny, override, message):
    from vit_train.errors import ConfigError
    from vit_train.training.groups import treatments

    with pytest.raises(ConfigError) as error:
        treatments(tiny(override).optimizer, small_network("first", "second"))
    assert str(error.value).startswith(message)
