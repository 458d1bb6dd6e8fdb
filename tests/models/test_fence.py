"""The fused layers do what Keras' layers do, for every argument that they take: values and gradients."""

import itertools

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")

TOLERANCE = {"float32": 1e-5, "float64": 1e-7, "mixed_bfloat16": 4e-2, "mixed_float16": 2e-3}
SHAPES = {2: (6, 8), 3: (3, 5, 8), 4: (2, 3, 4, 8)}


def fill(*layers):
    """Gives the layers equal weights, none of them 0 or 1."""
    rng = np.random.default_rng(0)
    names = [[variable.path.split("/", 1)[1] for variable in layer.trainable_variables] for layer in layers]
    assert names[0] == names[-1]
    for variables in zip(*(layer.trainable_variables for layer in layers), strict=True):
        values = rng.normal(size=variables[0].shape) / 2
        for variable in variables:
            variable.assign(values)


def results(layer, call, x):
    """Output, and the gradients of a loss that weighs all of it, with respect to input and weights; float64."""
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
        flat = [tf.reshape(tf.cast(each, "float64"), [-1]) for each in tf.nest.flatten(y)]
        loss = sum(tf.reduce_sum(tf.sin(each) * tf.cast(tf.range(tf.size(each)) % 7, "float64")) for each in flat)
    gradients = tape.gradient(loss, [x, *(variable.value for variable in layer.trainable_variables)])
    return [y.dtype for y in tf.nest.flatten(y)], [tf.cast(each, "float64").numpy() for each in [*flat, *gradients]]


def require_equal(ours, theirs, call_ours, call_theirs, x, tolerance):
    types, found = results(ours, call_ours, x)
    types_expected, expected = results(theirs, call_theirs, x)
    assert types == types_expected
    for mine, other in zip(found, expected, strict=True):
        # As a whole: a sum that is 0 but for rounding, as the gradient of the keys' bias, has no relative error.
        assert np.linalg.norm(mine - other) <= tolerance * (np.linalg.norm(other) + 2 * mine.size**0.5)


NORMS = [
    {},
    {"axis": -2},
    {"axis": 1},
    {"axis": [-2, -1]},
    {"center": False},
    {"scale": False},
    {"center": False, "scale": False, "epsilon": 0.1},
    {"rms_scaling": True},
]


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
@pytest.mark.parametrize("policy", TOLERANCE)
@pytest.mark.parametrize("options", NORMS, ids=str)
def test_layer_norm(options, policy):
    import keras

    from vit_train.models.layer_norm import LayerNorm

    for shape in (shape for rank, shape in SHAPES.items() if rank > 2 or options.get("axis", 1) == 1):
        ours, theirs = (make(**options, dtype=policy) for make in (LayerNorm, keras.layers.LayerNormalization))
        ours.build((None, *shape[1:]))
        theirs.build((None, *shape[1:]))
        fill(ours, theirs)
        x = np.random.default_rng(1).normal(3, 2, shape).astype("float64" if policy == "float64" else "float32")
        require_equal(ours, theirs, lambda x, ours=ours: ours(x, training=True), theirs, x, TOLERANCE[policy])


BATCH_NORMS = [{}, {"momentum": 0.5, "epsilon": 0.1}, {"axis": 1}, {"center": False}, {"scale": False}]


@pytest.mark.parametrize("policy", TOLERANCE)
@pytest.mark.parametrize("options", BATCH_NORMS, ids=str)
def test_batch_norm(options, policy):
    import keras

    from vit_train.models.batch_norm import BatchNormalization

    rng = np.random.default_rng(1)
    for shape in SHAPES.values():
        x = (3 * rng.normal(size=shape) + 1).astype("float64" if policy == "float64" else "float32")
        ours, theirs = (kind(dtype=policy, **options) for kind in (BatchNormalization, keras.layers.BatchNormalization))
        ours.build(shape)
        theirs.build(shape)
        fill(ours, theirs)
        if policy == "float32":
            assert ours.fuses(x) == (len(shape) == 4 and not {"axis", "center", "scale"} & {*options})
        for training in (True, False):
            calls = (lambda x, layer=layer, t=training: layer(x, training=t) for layer in (ours, theirs))
            require_equal(ours, theirs, *calls, x, 20 * TOLERANCE[policy])
        for mine, other in zip(ours.non_trainable_variables, theirs.non_trainable_variables, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_frozen_batch_norm_keeps_its_statistics():
    import keras

    from vit_train.models.batch_norm import BatchNormalization

    x = np.random.default_rng(1).normal(size=SHAPES[4]).astype("float32")
    layer = BatchNormalization(trainable=False)
    np.testing.assert_array_equal(layer(x, training=True), keras.layers.BatchNormalization()(x, training=False))


def test_layer_norm_of_another_rank_fuses_its_last_axis_only():
    from vit_train.models.layer_norm import LayerNorm

    for rank, axis in itertools.product((2, 3, 4), (-1, 1, 2, 3)):
        if axis >= rank:
            continue
        layer = LayerNorm(axis=axis)
        layer.build(SHAPES[rank])
        assert layer.fuses(np.zeros(SHAPES[rank], "float32")) == (axis in (-1, rank - 1))


DROPOUTS = [(2, None), (3, None), (4, None), (3, (3, 1, 8)), (3, (None, 5, 1)), (2, (1, 8))]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize(("rank", "noise_shape"), DROPOUTS)
def test_dropout_drops_whole_slices_where_it_is_asked_to(rank, noise_shape, policy):
    from vit_train.models.dropout import Dropout

    layer, x = Dropout(0.5, noise_shape=noise_shape, seed=1, dtype=policy), np.ones(SHAPES[rank], "float32")
    y = np.asarray(layer(x, training=True)).astype("float64")
    assert set(np.unique(y)) <= {0.0, 2.0}
    for axis, size in enumerate(noise_shape or ()):
        if size == 1:
            assert (y == y.take([0], axis)).all()
    draws = np.mean([np.asarray(layer(x, training=True)).astype("float64") for _ in range(20)])
    independent = 20 * np.prod(
        [n if size is None else size for n, size in zip(x.shape, noise_shape or x.shape, strict=True)]
    )
    assert abs(draws - 1) < 5 / np.sqrt(independent)


def test_dropout_takes_the_rates_and_arguments_of_keras():
    import keras

    from vit_train.models.dropout import Dropout, GeluDropout

    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    for kind in (Dropout, GeluDropout):
        for rate in (-0.1, 1.5):
            with pytest.raises(ValueError, match="rate"):
                kind(rate)
        assert kind(0.3, noise_shape=(None, 1), seed=4).get_config()["noise_shape"] == (None, 1)
    almost = 1 - 1e-12
    assert not np.asarray(Dropout(almost)(x, training=True)).any()
    np.testing.assert_array_equal(GeluDropout(0)(x, training=True), keras.activations.gelu(x))
    np.testing.assert_array_equal(Dropout(1.0)(x, training=True), keras.layers.Dropout(1.0)(x, training=True))


ATTENTIONS = [
    {},
    {"use_bias": False},
    {"value_dim": 5},
    {"value_dim": 11},
    {"output_shape": 6},
    {"output_shape": (2, 3)},
    {"use_bias": False, "output_shape": 6},
    {"use_gate": True},
    {"sliding_window": 2},
    {"attention_axes": 1},
    {"activity_regularizer": "l2"},
    {"kernel_regularizer": "l2", "bias_initializer": "ones"},
]


@pytest.mark.parametrize(
    ("options", "policy"),
    [
        *((options, "float32") for options in ATTENTIONS),
        ({}, "mixed_bfloat16"),
        *(pytest.param(options, "mixed_bfloat16", marks=pytest.mark.slow) for options in ATTENTIONS[1:]),
    ],
    ids=str,
)
def test_self_attention(options, policy):
    import keras

    from vit_train.models.self_attention import SelfAttention

    shape = SHAPES[3]
    for key_dim in (4, 8):
        ours = SelfAttention(3, key_dim, **options, dtype=policy)
        theirs = keras.layers.MultiHeadAttention(3, key_dim, **options, dtype=policy)
        ours.build(shape)
        theirs.build(shape, shape)
        fill(ours, theirs)
        x = np.random.default_rng(1).normal(size=shape).astype("float32")
        for more in ({"training": True}, {}, {"return_attention_scores": True, "training": True}):
            require_equal(
                ours, theirs, lambda x, ours=ours, more=more: ours(x, **more),
                lambda x, theirs=theirs, more=more: theirs(x, x, **more), x, TOLERANCE[policy],
            )  # fmt: skip
        assert len(ours.losses) == len(theirs.losses)


def test_self_attention_of_a_map_of_tokens():
    import keras

    from vit_train.models.self_attention import SelfAttention

    for axes in (None, (2,), (1, 2)):
        ours, theirs = (
            SelfAttention(2, 8, attention_axes=axes),
            keras.layers.MultiHeadAttention(2, 8, attention_axes=axes),
        )
        ours.build(SHAPES[4])
        theirs.build(SHAPES[4], SHAPES[4])
        fill(ours, theirs)
        x = np.random.default_rng(1).normal(size=SHAPES[4]).astype("float32")
        require_equal(ours, theirs, ours, lambda x, theirs=theirs: theirs(x, x), x, 1e-4)


def test_self_attention_heeds_the_mask_of_its_tokens():
    import keras

    from vit_train.models.self_attention import SelfAttention

    inputs = keras.Input((5, 8))
    ours, theirs = SelfAttention(2, 8), keras.layers.MultiHeadAttention(2, 8)
    masked = keras.layers.Masking()(inputs)
    models = [keras.Model(inputs, y) for y in (ours(masked), theirs(masked, masked))]
    fill(ours, theirs)
    x = np.random.default_rng(1).normal(size=SHAPES[3]).astype("float32")
    x[0, 3:] = x[1, 0] = 0
    found, expected = (np.asarray(model(x)) for model in models)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    x[0, 4] = 1e-3  # no longer masked, it is seen by the other tokens
    assert np.abs(np.asarray(models[0](x))[0, 0] - found[0, 0]).max() > 1e-3


def test_self_attention_refuses_what_it_does_not_take():
    from vit_train.models.self_attention import SelfAttention

    layer, x = SelfAttention(2, 8), np.zeros(SHAPES[3], "float32")
    for option in ({"attention_mask": np.ones((3, 5, 5), bool)}, {"use_causal_mask": True}, {"key": x}):
        with pytest.raises(TypeError):
            layer(x, **option)
    with pytest.raises(ValueError, match="Dropout is not supported when flash attention"):
        SelfAttention(2, 8, dropout=0.1, flash_attention=True)
    assert not SelfAttention(2, 8, flash_attention=True).plain


def test_keras_computes_all_of_it_where_it_is_asked_to(monkeypatch):
    """compute.kernels=keras: the numbers of Keras' own layers, to the bit, dropout's among them."""
    import keras

    from vit_train.machine import kernels
    from vit_train.models.batch_norm import BatchNormalization
    from vit_train.models.dropout import Dropout, GeluDropout
    from vit_train.models.layer_norm import LayerNorm
    from vit_train.models.self_attention import SelfAttention

    shape, gelu = SHAPES[3], keras.activations.gelu
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    monkeypatch.setattr(kernels, "_fused", True)
    kernels.use("keras")
    pairs = [
        (LayerNorm(), keras.layers.LayerNormalization()),
        (SelfAttention(2, 8, dropout=0.3, seed=3), keras.layers.MultiHeadAttention(2, 8, dropout=0.3, seed=3)),
        (Dropout(0.3, seed=3), keras.layers.Dropout(0.3, seed=3)),
        (GeluDropout(0.3, seed=3), keras.layers.Dropout(0.3, seed=3)),
    ]
    for index, (ours, theirs) in enumerate(pairs):
        ours.build(shape)
        theirs.build(*([shape] * (2 if index == 1 else 1)))
        fill(ours, theirs)
        inputs = (x, x) if index == 1 else (gelu(x),) if index == 3 else (x,)
        expected = theirs(*inputs) if index == 0 else theirs(*inputs, training=True)
        np.testing.assert_array_equal(ours(x, training=True), expected)
    x = np.random.default_rng(1).normal(size=SHAPES[4]).astype("float32")
    np.testing.assert_array_equal(
        BatchNormalization()(x, training=True), keras.layers.BatchNormalization()(x, training=True)
    )
