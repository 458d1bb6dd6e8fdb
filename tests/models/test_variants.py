"""The variants of the Vision Transformer, each against an independent implementation in numpy or PyTorch's formula."""

import numpy as np
import pytest
from scipy.signal import correlate2d

from vit_train.config.compose import load_config
from vit_train.errors import ConfigError

pytestmark = pytest.mark.usefixtures("tensorflow")

# The recipe `fast`: two convolutions, four blocks with a depthwise convolution, no activation after the MLP.
FAST = (
    "model.image_size=32", "model.patch_size=4", "model.projection_dim=128", "model.depth=4", "model.heads=4",
    "model.key_dim=null", "model.mlp_ratio=2", "model.head_units=[]", "model.dropout=0", "model.head_dropout=0",
    "model.stem=conv", "model.stem_channels=48", "model.mlp=conv", "model.mlp_output_activation=false",
    "model.activation=gelu_tanh", "model.initializer=trunc_normal", "model.attention_initializer=trunc_normal",
)  # fmt: skip
SMALL = (
    *FAST,
    "model.image_size=16",
    "model.projection_dim=8",
    "model.heads=2",
    "model.depth=1",
    "model.stem_channels=4",
)


def build(*overrides, classes=10):
    from vit_train.models.build import build_model

    return build_model(load_config(overrides).model, classes)


def array(tensor):
    import keras

    return keras.ops.convert_to_numpy(tensor).astype(float)


def trainable(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def test_fast_has_the_parameters_of_its_parts():
    """By hand; with the 129 of sequence pooling they are the 618,453 of the prototype that the recipe comes from."""
    stem = 27 * 48 + 2 * 48 + (9 * 48 * 128 + 128)
    block = 2 * 2 * 128 + 4 * (128 * 128 + 128) + (128 * 256 + 256) + (256 * 128 + 128) + (9 * 256 + 256)
    total = stem + 64 * 128 + 4 * block + 2 * 128 + (128 * 100 + 100)
    assert trainable(build(*FAST, "model.pooling=average", classes=100)) == total == 618_324
    assert trainable(build(*FAST, "model.pooling=attention", classes=100)) == total + 129 == 618_453


@pytest.mark.parametrize(
    ("name", "published"),
    [("vit_tiny", 5_717_416), pytest.param("vit_small", 22_050_664, marks=pytest.mark.slow)],
)
def test_named_models_have_the_parameters_of_their_papers(name, published):
    """DeiT, arXiv 2012.12877: 5.7 and 22.1 million; those of timm's vit_tiny_patch16_224 and vit_small_patch16_224."""
    assert trainable(build(f"model={name}", classes=1000)) == published


def convolved(x, kernel, stride):
    """[B, S, S, C] with a kernel [3, 3, C, D], zeros outside; strided as TensorFlow does where the size is even."""
    B, S, _, C = x.shape
    out = np.zeros((B, S, S, kernel.shape[-1]))
    for b in range(B):
        for d in range(kernel.shape[-1]):
            out[b, :, :, d] = sum(correlate2d(x[b, :, :, c], kernel[:, :, c, d], mode="same") for c in range(C))
    return out[:, stride - 1 :: stride, stride - 1 :: stride]


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_the_conv_stem_by_its_formula(norm):
    from vit_train.models.stems import ConvStem

    layer, rng = ConvStem((5, 6), norm), np.random.default_rng(0)
    x = rng.normal(size=(3, 8, 8, 3)).astype("float32")
    layer.build((None, 8, 8, 3))
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    first, last = layer.convolutions
    y = convolved(x, array(first.kernel), 2)
    if norm == "none":
        y = y + array(first.bias)
    else:
        axes, epsilon = ((0, 1, 2), 1e-5) if norm == "batch" else (-1, 1e-6)
        y = (y - y.mean(axes, keepdims=True)) / np.sqrt(y.var(axes, keepdims=True) + epsilon)
        y = y * array(layer.norms[0].gamma) + array(layer.norms[0].beta)
        assert first.bias is None
    expected = convolved(np.maximum(y, 0), array(last.kernel), 2) + array(last.bias)
    np.testing.assert_allclose(array(layer(x, training=True)), expected.reshape(3, 4, 6), rtol=1e-3, atol=1e-3)


def test_the_weights_of_a_conv_stem_lie_where_keras_own_layers_have_them(eagerly, tmp_path):
    """A path in model.keras is made of names of classes: another one, and no earlier file could be read."""
    import h5py

    from vit_train.models.build import build_model

    build_model(load_config(["experiment=fast", "model.depth=1"]).model, 10).save_weights(tmp_path / "x.weights.h5")
    with h5py.File(tmp_path / "x.weights.h5") as file:
        (stem,) = (group for name, group in file["layers"].items() if "conv_stem" in name)
        assert set(stem["norms"]) == {"batch_normalization"}
        assert set(stem["norms/batch_normalization/vars"]) == set("0123")


@pytest.mark.parametrize("prefix", [0, 2])
def test_the_token_convolution_by_its_formula(prefix):
    from vit_train.models.blocks import TokenConvolution

    layer, rng = TokenConvolution(prefix), np.random.default_rng(0)
    y = rng.normal(size=(2, prefix + 16, 3)).astype("float32")
    np.testing.assert_array_equal(array(layer(y)), y)  # it starts as none
    layer.kernel.assign(rng.normal(size=(3, 3, 3)))
    layer.bias.assign(rng.normal(size=3))
    expected = y.astype(float)
    for b in range(2):
        for c in range(3):
            grid = expected[b, prefix:, c].reshape(4, 4)
            grid = grid + correlate2d(grid, array(layer.kernel)[:, :, c], mode="same") + array(layer.bias)[c]
            expected[b, prefix:, c] = grid.ravel()
    np.testing.assert_allclose(array(layer(y)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("form", "formula"),
    [
        ("gelu_tanh", lambda keras, x: keras.activations.gelu(x, approximate=True)),
        ("quick_gelu", lambda keras, x: x * keras.ops.sigmoid(1.702 * x)),
    ],
)
def test_approximations_of_gelu_are_those_of_keras_with_their_gradients(form, formula):
    import keras
    import tensorflow as tf

    from vit_train.models.dropout import GeluDropout, drop

    x, seed = tf.constant(np.random.default_rng(0).normal(size=(50, 40)).astype("float32") * 3), np.uint32([1, 2])
    for rate in (0, 0.3):
        layer = GeluDropout(rate, form)
        layer.next_seed = lambda: seed
        factor = drop(tf.ones_like(x), rate, seed) if rate else 1.0
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            found, expected = layer(x, training=True), formula(keras, x) * factor
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=3e-6)
        np.testing.assert_allclose(tape.gradient(found, x), tape.gradient(expected, x), rtol=1e-4, atol=1e-5)
    assert np.abs(array(GeluDropout(0)(x)) - array(layer(x))).max() > 1e-4


def test_attention_pooling_by_its_formula():
    from vit_train.models.heads import AttentionPooling

    layer, x = AttentionPooling(), np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    found = array(layer(x))
    weights = np.exp(x @ array(layer.projection.kernel) + array(layer.projection.bias))
    np.testing.assert_allclose(found, (weights / weights.sum(1, keepdims=True) * x).sum(1), atol=1e-5)


def test_drop_path_drops_whole_examples_and_keeps_the_mean():
    from vit_train.models.layers import DropPath

    layer, x = DropPath(0.25, seed=1), np.ones((4000, 2, 3), "float32")
    y = array(layer(x, training=True))
    assert (y == y[:, :1, :1]).all()
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.75], rtol=1e-6)
    assert abs(y[:, 0, 0].mean() - 1) < 5 * np.sqrt(0.25 / 0.75 / 4000)
    np.testing.assert_array_equal(array(layer(x)), x)


def test_drop_path_grows_over_the_blocks_or_does_not():
    def rates(*overrides):
        network = build(*SMALL, "model.depth=3", "model.drop_path=0.2", *overrides)
        return [network.get_layer(f"block_{index}").drop_path.rate for index in range(3)]

    assert rates() == pytest.approx([0, 0.1, 0.2])
    assert rates("model.drop_path_mode=constant") == [0.2] * 3


def test_layer_scale_is_a_gain_on_each_branch():
    from vit_train.models.blocks import TransformerBlock

    x = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")
    block, plain = TransformerBlock(2, 4, 16, layer_scale=1e-5), TransformerBlock(2, 4, 16)
    assert 0 < np.abs(array(block(x)) - x).max() < 1e-3
    plain.build(x.shape)
    for mine, other in zip(plain.weights, (w for w in block.weights if "scale" not in w.path), strict=True):
        mine.assign(other)
    gain = np.arange(8.0)
    block.scales[0].gain.assign(gain)
    block.scales[1].gain.assign(np.zeros(8))
    attended = array(plain.attention(plain.attention_norm(x)))
    np.testing.assert_allclose(array(block(x)), x + gain * attended, atol=1e-5)
    block.scales[1].gain.assign(gain)
    middle = (x + gain * attended).astype("float32")
    hidden = plain.hidden_gelu(plain.mlp_hidden(plain.mlp_norm(middle)))
    expected = middle + gain * array(plain.output_gelu(plain.mlp_output(hidden)))
    np.testing.assert_allclose(array(block(x)), expected, rtol=1e-4, atol=1e-4)


def test_swiglu_by_its_formula():
    from vit_train.models.blocks import TransformerBlock

    block = TransformerBlock(2, 4, 16, mlp="swiglu", mlp_output_activation=False)
    x = np.random.default_rng(0).normal(size=(1, 4, 8)).astype("float32")
    block.build(x.shape)
    y = x + array(block.attention(block.attention_norm(x)))
    normed = array(block.mlp_norm(y))
    gate, hidden = (normed @ array(each.kernel) + array(each.bias) for each in (block.mlp_gate, block.mlp_hidden))
    expected = y + (gate / (1 + np.exp(-gate)) * hidden) @ array(block.mlp_output.kernel)
    np.testing.assert_allclose(array(block(x)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "pooling",
    ["average", *(pytest.param(each, marks=pytest.mark.slow) for each in ("class_token", "attention", "flatten"))],
)
def test_registers_are_learned_and_left_out_of_the_mean(pooling):
    x = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    initializers = "model.initializer=glorot", "model.attention_initializer=glorot"
    network = build(*SMALL, *initializers, "model.register_tokens=3", f"model.pooling={pooling}")
    embedding = network.get_layer("embedding")
    assert embedding.register_tokens.shape == (1, 3, 8)
    assert network.get_layer("norm").output.shape == (None, 16 + 3 + (pooling == "class_token"), 8)
    before = array(network(x))
    embedding.register_tokens.assign(10 * np.random.default_rng(0).normal(size=(1, 3, 8)))
    assert np.abs(array(network(x)) - before).max() > 1e-4  # through attention
    tokens, first = array(embedding(np.zeros((1, 16, 8), "float32"))), int(pooling == "class_token")
    np.testing.assert_allclose(tokens[0, first : first + 3], array(embedding.register_tokens)[0], atol=1e-6)


def test_a_learned_table_fits_another_number_of_patches():
    """As bicubic interpolation with antialiasing of its grid: constants stay, and a slope stays one in the middle."""
    from vit_train.models.stems import TokenEmbedding

    layer = TokenEmbedding(2, class_token=True)
    layer.build((None, 64, 2))
    grid = np.stack([np.full((8, 8), 3.0), np.tile(np.arange(8.0), (8, 1))], axis=-1).reshape(64, 2)
    layer.positions.assign(np.concatenate([[[7.0, 7.0]], grid]))
    found = array(layer(np.zeros((1, 36, 2), "float32")))[0]
    np.testing.assert_allclose(found[0], 7)
    np.testing.assert_allclose(found[1:, 0], 3, atol=1e-5)
    columns = found[1:, 1].reshape(6, 6)
    np.testing.assert_allclose(columns[:, 2:4], np.tile((np.arange(2, 4) + 0.5) * 8 / 6 - 0.5, (6, 1)), atol=0.02)


def test_kernels_start_as_a_cut_normal():
    network = build(*FAST, "model.pooling=average", classes=100)
    block = network.get_layer("block_1")
    kernels = [block.mlp_hidden.kernel, block.mlp_output.kernel, block.attention.query_dense.kernel]
    for kernel in (*kernels, network.get_layer("logits").kernel, network.get_layer("embedding").positions):
        values = array(kernel)
        assert np.abs(values).max() <= 0.04
        # A normal that is cut at twice its deviation has 0.88 of it.
        assert values.std() == pytest.approx(0.88 * 0.02, rel=0.05)


VARIANTS = [
    ("model.pooling=average", "model.drop_path=0.1", "model.register_tokens=2"),
    ("model.pooling=attention", "model.stem_norm=layer", "model.layer_scale=0.1", "model.dropout=0.1"),
    ("model.pooling=class_token", "model.stem_norm=none", "model.activation=gelu", "model.norm_epsilon=1e-5"),
    ("model.stem=patch", "model.mlp=dense", "model.position_embedding=none", "model.pooling=average"),
    ("model.position_embedding=rope", "model.qk_norm=true", "model.mlp=swiglu", "model.pooling=class_token"),
]


@pytest.mark.parametrize(
    ("variant", "precision"),
    [
        pytest.param(variant, precision, marks=[pytest.mark.slow] * (number % 2 != (precision != "float32")))
        for number, variant in enumerate(VARIANTS)
        for precision in ("float32", "mixed_bfloat16")
    ],
)
def test_every_variant_trains_in_both_precisions_is_saved_and_loaded(variant, precision, eagerly, tmp_path):
    import keras
    import tensorflow as tf

    from vit_train import load_model

    keras.config.set_dtype_policy(precision)
    try:
        network = build(*SMALL, *variant)
    finally:
        keras.config.set_dtype_policy("float32")
    x = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype("float32")
    with tf.GradientTape() as tape:
        logits = network(x, training=True)
        loss = tf.reduce_sum(logits**2)
    assert logits.dtype == tf.float32
    gradients = tape.gradient(loss, [variable.value for variable in network.trainable_variables])
    assert all(np.isfinite(array(gradient)).all() for gradient in gradients)
    assert {variable.dtype for variable in network.trainable_variables} == {"float32"}
    network.save(tmp_path / "vit.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "vit.keras")(x), network(x))


ON_JAX = """
import keras, numpy as np
from vit_train.models.blocks import depthwise
rng = np.random.default_rng(0)
x, kernel = rng.normal(size=(2, 5, 4, 3)).astype("float32"), rng.normal(size=(3, 3, 3)).astype("float32")
expected = keras.ops.depthwise_conv(x, kernel[..., None], padding="same", data_format="channels_last")
np.testing.assert_allclose(depthwise(x, kernel), expected, rtol=1e-4, atol=1e-5)

from vit_train.models.self_attention import SelfAttention
layer, x = SelfAttention(2, 4), rng.normal(size=(3, 5, 16)).astype("float32")
layer.build(x.shape)
assert layer.projects_at_once(x)
np.testing.assert_allclose(layer(x, training=True), layer(x, training=False), rtol=1e-4, atol=1e-5)
layer = SelfAttention(2, 4, rotary=True, qk_norm=True, prefix_tokens=1)
layer.build(x.shape)
np.testing.assert_allclose(layer(x, training=True), layer(x, training=False), rtol=1e-4, atol=1e-5)
"""


@pytest.mark.slow
def test_the_fused_operations_of_jax_are_those_of_keras(run_on):
    run_on("jax", ON_JAX)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.stem=conv"], r"^model.patch_size=6: model.stem=conv halves the image .* choose 2, 4, 8"),
        (["model.layer_scale=0"], "^model.layer_scale=0: must be above 0"),
        (["model.drop_path=1"], "^model.drop_path=1: must be at least 0 and below 1"),
        (["model.stem=cnn"], "^model.stem=cnn: must be one of patch, conv"),
    ],
)
def test_what_cannot_be_is_a_sentence(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(overrides)
