import numpy as np
import pytest

from vit_train.config.compose import load_config

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.parametrize("size", [8, 32, 72])
def test_the_device_draws_the_pixels_of_the_host(size):
    import keras
    import tensorflow as tf

    from vit_train.data.augmentation.apply import resample
    from vit_train.data.augmentation.draw import draw
    from vit_train.models.resample import Resample

    images = np.random.default_rng(0).integers(0, 256, (64, 32, 24, 3), dtype=np.uint8)
    config = load_config(["augment.rotation=0.5", "augment.zoom=0.9"]).augment
    examples, epoch = tf.range(64, dtype=tf.int64), tf.constant(0, tf.int64)
    transforms = draw(config, 1, examples, epoch, (32, 24), size)["transforms"]
    device = keras.ops.convert_to_numpy(Resample(size)(images, transforms))
    difference = np.abs(device - resample(images, transforms, size).numpy())
    # A coordinate on the edge between two pixels may be rounded to either side.
    assert np.quantile(difference, 0.999) < 0.05
    assert difference.mean() < 0.001


@pytest.mark.parametrize("length", [1, 2, 5])
def test_reflection_mirrors_at_the_outer_edge(length):
    from vit_train.models.resample import reflect

    cells = np.pad(np.arange(length), 3 * length, mode="symmetric")
    coordinates = np.arange(-3 * length, 4 * length, dtype="float32")
    np.testing.assert_array_equal(np.asarray(reflect(coordinates, length)), cells)


def test_the_layer_is_saved_with_its_size(tmp_path):
    import keras

    from vit_train.models.resample import Resample

    images, transforms = keras.Input((8, 8, 3), dtype="uint8"), keras.Input((8,))
    model = keras.Model([images, transforms], Resample(12)(images, transforms))
    model.save(tmp_path / "resample.keras")
    inputs = [np.full((2, 8, 8, 3), 7, np.uint8), np.tile(np.float32([0.5, 0, 0, 0, 0.5, 0, 0, 0]), (2, 1))]
    loaded = keras.saving.load_model(tmp_path / "resample.keras")
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), np.full((2, 12, 12, 3), 7, np.float32))
