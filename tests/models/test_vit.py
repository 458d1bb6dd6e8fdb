import dataclasses

import numpy as np
import pytest

from vit_train.config.compose import load_config

pytestmark = pytest.mark.usefixtures("tensorflow")


def build(*overrides, classes=100):
    from vit_train.models.build import build_model

    return build_model(load_config(overrides).model, classes)


def test_the_reference_has_its_parameters():
    """21,759,019 with 7 of Normalization; the layers by hand from the description of the keras.io example."""
    network = build()
    assert network.count_params() == 21_759_019
    assert sum(np.prod(v.shape) for v in network.trainable_variables) == 21_759_012
    counts = {layer.name: layer.count_params() for layer in network.layers if layer.count_params()}
    attention = 3 * (64 * 256 + 256) + 256 * 64 + 64
    block = 2 * 2 * 64 + attention + (64 * 128 + 128) + (128 * 64 + 64)
    assert counts == {
        "normalization": 7,
        "embedding": 108 * 64 + 64 + 144 * 64,
        **{f"block_{index}": block for index in range(8)},
        "norm": 2 * 64,
        "head_0": 9216 * 2048 + 2048,
        "head_1": 2048 * 1024 + 1024,
        "logits": 1024 * 100 + 100,
    }


def by_formula(m, classes):
    """Parameters of any shape, written down apart from the code."""
    tokens, width = (m.image_size // m.patch_size) ** 2, m.projection_dim
    head = m.key_dim or width // m.heads
    hidden = round(width * m.mlp_ratio)
    sequence = tokens + (m.pooling == "class_token")
    total = 7 + (3 * m.patch_size**2 + 1) * width
    total += sequence * width if m.position_embedding == "learned" else 0
    total += width if m.pooling == "class_token" else 0
    attention = 3 * (width + 1) * m.heads * head + (m.heads * head + 1) * width
    total += m.depth * (4 * width + attention + (width + 1) * hidden + (hidden + 1) * width) + 2 * width
    features = sequence * width if m.pooling == "flatten" else width
    for units in (*m.head_units, classes):
        total += (features + 1) * units
        features = units
    return total


SHAPES = [
    ("model.depth=2", "model.heads=3", "model.head_units=[20]"),
    ("model.pooling=class_token", "model.position_embedding=sincos", "model.head_units=[]", "model.depth=3"),
    ("model.pooling=average", "model.position_embedding=none", "model.key_dim=null", "model.mlp_ratio=4",
     "model.depth=1"),
    ("model.image_size=32", "model.patch_size=4", "model.projection_dim=48", "model.key_dim=7", "model.mlp_ratio=1.5",
     "model.depth=1"),
    ("model.pooling=class_token", "model.depth=1", "model.head_units=[5,6,7]", "model.image_size=24"),
]  # fmt: skip


@pytest.mark.parametrize("shape", [*SHAPES[:2], *(pytest.param(each, marks=pytest.mark.slow) for each in SHAPES[2:])])
def test_every_shape_has_the_parameters_of_the_formula_is_saved_and_loaded(shape, tmp_path):
    from vit_train import load_model

    network = build(*shape, classes=10)
    assert network.count_params() == by_formula(load_config(shape).model, 10)
    network.save(tmp_path / "vit.keras")
    images = np.random.default_rng(0).uniform(0, 255, (3, *network.input_shape[1:])).astype(np.float32)
    logits = network(images).numpy()
    assert (logits.shape, logits.dtype) == ((3, 10), np.float32)
    np.testing.assert_array_equal(load_model(tmp_path / "vit.keras")(images), logits)


def test_a_model_is_a_function_of_its_config_and_the_seed():
    import keras

    def first_weights(seed):
        keras.utils.set_random_seed(seed)
        return build("model.depth=1", "model.head_units=[]", "model.image_size=12").get_layer("block_0").get_weights()

    for a, b, c in zip(first_weights(1), first_weights(1), first_weights(2), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.array_equal(a, c) == (a.std() == 0)  # only biases and gains start alike


def test_permuted_patches_are_told_apart_by_position_only():
    """Without positions, average pooling cannot see the order of patches; with them it does."""
    images = np.random.default_rng(0).normal(size=(2, 24, 24, 3)).astype(np.float32)
    shuffled = np.concatenate([images[:, 12:], images[:, :12]], axis=1)
    for position_embedding, same in (("none", True), ("learned", False), ("sincos", False)):
        network = build(
            f"model.position_embedding={position_embedding}", "model.pooling=average", "model.image_size=24",
            "model.patch_size=12", "model.depth=1",
        )  # fmt: skip
        a, b = network(images), network(shuffled)
        assert np.allclose(a, b, atol=1e-5) == same


def test_bfloat16_keeps_weights_and_logits_in_float32():
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build("model.depth=1", "model.head_units=[]", "model.image_size=12")
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("block_0").compute_dtype == "bfloat16"
    assert {variable.dtype for variable in network.trainable_variables} == {"float32"}
    assert network.output.dtype == "float32"


def test_configs_of_models_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_config().model.depth = 3
