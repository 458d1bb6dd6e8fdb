"""The resample against Keras' own preprocessing layers."""

import numpy as np
import pytest

from vit_train.config.compose import load_config

pytestmark = pytest.mark.usefixtures("tensorflow")

BASIC, NONE = load_config().augment, load_config(["augment=none"]).augment


@pytest.fixture(scope="module")
def images():
    """uint8 [512, 32, 32, 3]: soft blobs, bright on the left, so that every operation leaves a trace."""
    import tensorflow as tf

    coarse = np.random.default_rng(0).uniform(0, 255, (512, 5, 5, 3))
    coarse[:, :, :2] = coarse[:, :, :2] / 2 + 127
    return np.clip(tf.image.resize(coarse, (32, 32), "bicubic"), 0, 255).astype(np.uint8)


def draw(count, config=BASIC, seed=1, epoch=0, first=0, size=72):
    import tensorflow as tf

    from vit_train.data.augmentation.draw import draw as draw_parameters

    examples = tf.range(first, first + count, dtype=tf.int64)
    parameters = draw_parameters(config, seed, examples, tf.constant(epoch, tf.int64), (32, 32), size)
    return parameters["transforms"].numpy()


def resampled(images, transforms, size=72):
    from vit_train.data.augmentation.apply import resample

    return resample(images, transforms, size).numpy()


@pytest.mark.parametrize("size", [16, 32, 72])
def test_without_augmentation_it_is_keras_resizing(images, size):
    import keras

    from vit_train.data.augmentation.geometry import resize, rows

    images = images[:40]
    expected = keras.ops.convert_to_numpy(keras.layers.Resizing(size, size)(images.astype("float32")))
    np.testing.assert_allclose(resampled(images, rows(resize(40, (32, 32), size)), size), expected, atol=2e-3)
    np.testing.assert_allclose(resampled(images, draw(40, NONE, size=size), size), expected, atol=2e-3)


def test_images_need_not_be_square():
    import tensorflow as tf

    from vit_train.data.augmentation.geometry import resize, rows

    images = np.random.default_rng(0).integers(0, 256, (3, 20, 50, 3), dtype=np.uint8)
    expected = tf.image.resize(images, (24, 24)).numpy()
    np.testing.assert_allclose(resampled(images, rows(resize(3, (20, 50), 24)), 24), expected, atol=2e-3)


@pytest.mark.parametrize("size", [8, 32, 72])
def test_far_turned_and_shrunk_it_is_tensorflows_own_transform(images, size):
    import tensorflow as tf

    images = images[:100]
    transforms = draw(100, load_config(["augment.rotation=0.5", "augment.zoom=0.9"]).augment, size=size)
    expected = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=transforms,
        output_shape=[size, size],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    difference = np.abs(resampled(images, transforms, size) - expected)
    # A coordinate on the edge between two pixels may be rounded to either side.
    assert np.quantile(difference, 0.999) < 0.05
    assert difference.mean() < 0.001


def test_a_flip_is_keras_flip(images):
    import tensorflow as tf

    config = load_config(["augment.rotation=0", "augment.zoom=0"]).augment
    result = resampled(images, draw(512, config, size=32), 32)
    flipped = np.array([not np.allclose(a, b, atol=1e-2) for a, b in zip(result, images, strict=True)])
    assert 0.42 < flipped.mean() < 0.58
    expected = np.where(flipped[:, None, None, None], tf.image.flip_left_right(images), images)
    np.testing.assert_allclose(result, expected, atol=1e-2)


SINGLE = ("flip", "rotation", "zoom")


def keras_layers():
    import keras

    layers = keras.layers
    return {
        "flip": [layers.RandomFlip("horizontal", seed=1)],
        "rotation": [layers.RandomRotation(0.02, seed=1)],
        "zoom": [layers.RandomZoom(0.2, 0.2, seed=1)],
        "all": [
            layers.RandomFlip("horizontal", seed=1),
            layers.RandomRotation(0.02, seed=2),
            layers.RandomZoom(0.2, 0.2, seed=3),
        ],
    }


@pytest.mark.parametrize("operation", [*(pytest.param(name, marks=pytest.mark.slow) for name in SINGLE), "all"])
def test_the_distribution_is_that_of_keras_layers(images, operation):
    """Mean, spread and extremes of every pixel of one image over 4,096 draws."""
    import keras

    own = {"flip": True, "rotation": 0.02, "zoom": 0.2}
    keep = own if operation == "all" else {operation: own[operation]}
    config = load_config(["augment=none", *(f"augment.{name}={value}" for name, value in keep.items())]).augment
    image = np.repeat(images[:1], 4096, axis=0)
    ours = resampled(image, draw(4096, config, size=36), 36)
    theirs = keras.layers.Resizing(36, 36)(image.astype("float32"))
    for layer in keras_layers()[operation]:
        theirs = layer(theirs, training=True)
    theirs = keras.ops.convert_to_numpy(theirs)
    assert np.abs(ours.mean(0) - theirs.mean(0)).max() < 5
    assert np.abs(ours.mean(0) - theirs.mean(0)).mean() < 1
    assert np.abs(ours.std(0) - theirs.std(0)).max() < 5
    # Extremes inside the image; at its border Keras reflects after each operation, one resample reflects once.
    inside = (slice(None), slice(9, 27), slice(9, 27))
    for extreme in (np.min, np.max):
        assert np.abs(extreme(ours[inside], 0) - extreme(theirs[inside], 0)).mean() < 3


def test_a_draw_is_a_function_of_seed_example_and_epoch():
    whole = draw(64)
    np.testing.assert_array_equal(whole[16:32], draw(16, first=16))
    for other in (draw(64, seed=2), draw(64, epoch=1), draw(64, first=64)):
        assert not np.any(np.all(whole == other, axis=1))


def test_draws_reach_their_limits_and_stay_inside():
    config = load_config(["augment.flip=false", "augment.rotation=0"]).augment
    scale_x = draw(4096, config)[:, 0] * 72 / 32
    scale_y = draw(4096, config)[:, 4] * 72 / 32
    for scale in (scale_x, scale_y):
        assert 0.8 <= scale.min() < 0.801
        assert 1.199 < scale.max() <= 1.2
        assert abs(scale.mean() - 1) < 0.01
    assert abs(np.corrcoef(scale_x, scale_y)[0, 1]) < 0.06


def test_the_centre_stays_where_it_is():
    centre = (72 - 1) / 2
    for a0, a1, a2, b0, b1, b2, *_ in draw(100):
        assert a0 * centre + a1 * centre + a2 == pytest.approx(15.5, abs=1e-4)
        assert b0 * centre + b1 * centre + b2 == pytest.approx(15.5, abs=1e-4)


@pytest.mark.parametrize("count", [4, 26])
def test_uniform_numbers_are_those_of_tensorflow_one_example_at_a_time(count):
    import tensorflow as tf

    from vit_train.data.augmentation.uniforms import uniforms

    seed = tf.constant((2**31 - 1 << 32) + 7, tf.int64)
    examples = tf.constant([0, 1, 12345, 2**40 + 3], tf.int64)
    expected = [
        tf.random.stateless_uniform([count], seed=tf.stack([seed, example]), minval=-1.0, maxval=1.0)
        for example in examples
    ]
    np.testing.assert_array_equal(uniforms(seed, examples, count), np.stack(expected))
