import numpy as np
import pytest

from vit_train.config.compose import load_config

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def network():
    from vit_train.models.build import build_model

    return build_model(load_config(["model.depth=1", "model.image_size=24", "model.head_units=[]"]).model, 10)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


def test_statistics_normalise_each_channel(network, images):
    from vit_train.data.images import Examples
    from vit_train.models.preprocessing import set_statistics

    set_statistics(network, *Examples(images, np.zeros(6, np.int32)).statistics())
    normalised = np.asarray(network.get_layer("normalization")(images.astype(np.float32)))
    np.testing.assert_allclose(normalised.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std((0, 1, 2)), 1, atol=1e-5)


def test_raw_images_give_the_logits_of_resized_ones(network, images, tmp_path):
    import tensorflow as tf

    from vit_train import load_model
    from vit_train.models.preprocessing import with_preprocessing

    model = with_preprocessing(network, (8, 8), tuple("0123456789"))
    logits = model.predict(images, verbose=0)
    resized = tf.image.resize(images, (24, 24)).numpy()
    assert np.abs(resized - np.round(resized)).max() > 0.4  # rounding would show
    np.testing.assert_allclose(logits, network.predict(resized, verbose=0), atol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "model.keras").predict(images, verbose=0), logits)


def test_a_model_called_like_a_function_drops_nothing(network, images):
    """keras.layers.Resizing in front would turn dropout on here."""
    from vit_train.models.preprocessing import with_preprocessing

    model = with_preprocessing(network, (8, 8), tuple("0123456789"))
    np.testing.assert_allclose(np.asarray(model(images)), model.predict(images, verbose=0), atol=1e-5)


def test_class_names_stay_with_the_model(network, tmp_path):
    from vit_train import class_names, load_model
    from vit_train.models.preprocessing import with_preprocessing

    names = ("apple", "château", "0", "a, b", *"ghijkl")
    with_preprocessing(network, (8, 8), names).save(tmp_path / "model.keras")
    assert class_names(load_model(tmp_path / "model.keras")) == names


def test_a_model_trained_in_bfloat16_is_loaded_as_it_was(images, tmp_path):
    import keras

    from vit_train import load_model
    from vit_train.models.build import build_model
    from vit_train.models.preprocessing import with_preprocessing

    config = load_config(["model.depth=1", "model.image_size=24", "model.head_units=[]", "model.pooling=class_token"])
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = with_preprocessing(build_model(config.model, 10), (8, 8), tuple("0123456789"))
    finally:
        keras.config.set_dtype_policy("float32")
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras").predict(images, verbose=0)
    np.testing.assert_array_equal(loaded, model.predict(images, verbose=0))
