import numpy as np
import pytest

from vit_train.config.compose import load_config

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.parametrize(
    ("size", "keys"),
    [
        (8, ["augment.rotation=0.5", "augment.zoom=0.9"]),
        pytest.param(72, ["augment.rotation=0.5", "augment.zoom=0.9"], marks=pytest.mark.slow),
        (32, ["augment=rand", "augment.erase=0.5", "augment.mixup=0.8", "augment.cutmix=1"]),
    ],
)
def test_the_device_draws_the_pixels_of_the_host(size, keys):
    import keras

    from vit_train.data.images import Examples
    from vit_train.data.pipeline import evaluation_batches, training_batches
    from vit_train.models.resample import Augment, augmentation_inputs

    images = np.random.default_rng(0).integers(0, 256, (64, 32, 24, 3), dtype=np.uint8)
    examples = Examples(images, np.arange(64, dtype=np.int32))
    size_keys = [f"model.image_size={size}", "model.patch_size=4", "train.batch_size=32"]
    host, device = (load_config([*keys, *size_keys, f"augment.placement={place}"]) for place in ("host", "device"))
    inputs = augmentation_inputs(device.augment, (32, 24, 3))
    model = keras.Model(inputs, Augment(size)(inputs))
    for make in (lambda config: training_batches(examples, config, 0, 3), lambda c: evaluation_batches(examples, c)):
        for (expected, targets), (batch, same) in zip(make(host), make(device), strict=True):
            np.testing.assert_array_equal(targets, same)
            assert set(batch) == set(inputs)
            difference = np.abs(keras.ops.convert_to_numpy(model(batch)) - expected.numpy())
            # A coordinate on the edge between two pixels, and a half, may be rounded to either side.
            assert np.quantile(difference, 0.999) < 0.05
            assert difference.mean() < 0.002


@pytest.mark.parametrize("length", [1, 2, 5])
def test_reflection_mirrors_at_the_outer_edge(length):
    from vit_train.models.resample import reflect

    cells = np.pad(np.arange(length), 3 * length, mode="symmetric")
    coordinates = np.arange(-3 * length, 4 * length, dtype="float32")
    np.testing.assert_array_equal(np.asarray(reflect(coordinates, length)), cells)


def test_the_layer_is_saved_with_its_size(tmp_path):
    import keras

    from vit_train.models.resample import Augment, augmentation_inputs

    inputs = augmentation_inputs(load_config().augment, (8, 8, 3))
    keras.Model(inputs, Augment(12)(inputs)).save(tmp_path / "augment.keras")
    values = {"images": np.full((2, 8, 8, 3), 7, np.uint8),
              "transforms": np.tile(np.float32([0.5, 0, 0, 0, 0.5, 0, 0, 0]), (2, 1))}  # fmt: skip
    loaded = keras.saving.load_model(tmp_path / "augment.keras")
    np.testing.assert_array_equal(loaded.predict(values, verbose=0), np.full((2, 12, 12, 3), 7, np.float32))
