"""Operations against Pillow's, which torchvision and timm use; policies against their tables."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy.stats import chisquare

from vit_train.config.compose import load_config

pytestmark = pytest.mark.usefixtures("tensorflow")

SIDE = 32


@pytest.fixture(scope="module")
def images():
    """uint8 [8, 32, 32, 3]: soft, each channel in a range of its own, the last image of one colour."""
    generator = np.random.default_rng(0)
    coarse = generator.uniform(0, 255, (8, 6, 6, 3)) * [0.5, 0.9, 0.3] + [40, 0, 150]
    found = [
        np.stack([Image.fromarray(channel.astype(np.float32)).resize((SIDE, SIDE), 3) for channel in image.T], axis=-1)
        for image in coarse
    ]
    found[-1] = np.full((SIDE, SIDE, 3), [10, 200, 90])
    return np.clip(found, 0, 255).astype(np.uint8)


def applied(images, *operations):
    """The images after operations (name, told), by our passes, as float32."""
    import tensorflow as tf

    from vit_train.data.augmentation import geometry
    from vit_train.data.augmentation.apply import apply
    from vit_train.data.augmentation.draw import operation, resolve
    from vit_train.data.augmentation.policies import CODE

    count = len(images)
    codes = tf.tile([[CODE[name] for name, _ in operations]], [count, 1])
    told = tf.tile([[float(told) for _, told in operations]], [count, 1])
    affine = geometry.resize(count, (SIDE, SIDE), SIDE)
    for slot in range(len(operations)):
        affine = geometry.compose(affine, operation(codes[:, slot], told[:, slot], (SIDE, SIDE), SIDE))
    draws = {"transforms": geometry.rows(affine), "codes": codes, "told": told}
    return apply(images, resolve(tf.constant(images), draws), SIDE).numpy()


PILLOW = {
    "identity": lambda image, _: image,
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "color": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
    "posterize": lambda image, bits: ImageOps.posterize(image, bits),
    "solarize": lambda image, threshold: ImageOps.solarize(image, threshold),
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
}
TONES = [
    ("identity", 0), ("invert", 0), ("autocontrast", 0), ("equalize", 0), ("posterize", 2), ("posterize", 8),
    ("solarize", 0), ("solarize", 100), ("solarize", 255),
    *((name, factor) for name in ("brightness", "color", "contrast", "sharpness") for factor in (0.01, 0.7, 1.9)),
]  # fmt: skip


def by_pillow(images, *operations):
    found = []
    for image in map(Image.fromarray, images):
        for name, told in operations:
            image = PILLOW[name](image, told)
        found.append(np.asarray(image))
    return np.array(found, np.float32)


@pytest.mark.parametrize(("name", "told"), TONES)
def test_tones_are_pillows(images, name, told):
    difference = np.abs(applied(images, (name, told)) - by_pillow(images, (name, told)))
    # The mean grey of contrast is that of the channels' means, not of grey pixels that are rounded each.
    allowed = 2 if name == "contrast" else 1
    assert difference.max() <= allowed
    assert np.mean(difference > 0.01) < (0.5 if name == "contrast" else 0.02)


@pytest.mark.parametrize("pair", [("equalize", "invert"), ("solarize", "autocontrast"), ("brightness", "equalize"),
                                  ("autocontrast", "contrast"), ("posterize", "equalize")])  # fmt: skip
def test_tones_that_follow_each_other_are_one_table(images, pair):
    told = {"solarize": 100, "brightness": 1.5, "contrast": 0.5, "posterize": 4}
    operations = [(name, told.get(name, 0)) for name in pair]
    assert np.abs(applied(images, *operations) - by_pillow(images, *operations)).max() <= 2


@pytest.mark.parametrize(
    ("name", "told", "backwards"),
    [
        ("shear_x", 0.4, (1, 0.4, 0, 0, 1, 0)),
        ("shear_y", -0.3, (1, 0, 0, -0.3, 1, 0)),
        ("translate_x", 5, (1, 0, -5, 0, 1, 0)),
        ("translate_y", -3, (1, 0, 0, 0, 1, 3)),
        ("rotate", 25, 25),
        ("rotate", -110, -110),
    ],
)
def test_geometry_is_pillows_inside_the_image(images, name, told, backwards):
    def moved(image, resampling):
        if name == "rotate":
            return image.rotate(backwards, resampling)
        return image.transform(image.size, Image.Transform.AFFINE, backwards, resampling)

    expected = [np.asarray(moved(Image.fromarray(image), Image.Resampling.BILINEAR), np.float32) for image in images]
    heart = np.zeros((SIDE, SIDE), np.uint8)
    heart[1:-1, 1:-1] = 255
    inside = np.asarray(moved(Image.fromarray(heart), Image.Resampling.BILINEAR)) == 255
    assert inside.mean() > 0.4
    assert (
        np.abs(applied(images, (name, told)) - expected)[:, inside].max() <= 1.01
    )  # Pillow cuts off what is behind the point


def drawn(policy, count=3000, **keys):
    """Names [count, slots] and what they are told for as many examples of 32 by 32 pixels."""
    import tensorflow as tf

    from vit_train.data.augmentation.draw import draw
    from vit_train.data.augmentation.policies import OPERATIONS

    config = load_config([f"augment={policy}", *(f"augment.{name}={value}" for name, value in keys.items())]).augment
    found = draw(config, 1, tf.range(count, dtype=tf.int64), tf.constant(0, tf.int64), (SIDE, SIDE), SIDE)
    return np.array(OPERATIONS)[found["codes"].numpy()], found["told"].numpy()


def test_trivial_draws_each_operation_alike_over_its_wide_range():
    names, told = drawn("trivial")
    assert names.shape == (3000, 1)
    kinds, counts = np.unique(names, return_counts=True)
    assert len(kinds) == 14
    assert chisquare(counts).pvalue > 1e-4
    wide = {"shear_x": (-0.99, 0.99), "shear_y": (-0.99, 0.99), "rotate": (-135, 135), "translate_x": (-32, 32),
            "brightness": (0.01, 1.99), "sharpness": (0.01, 1.99), "posterize": (2, 8),
            "solarize": (0, 255)}  # fmt: skip
    for name, (least, most) in wide.items():
        values = told[names == name]
        np.testing.assert_allclose([values.min(), values.max()], [least, most], rtol=1e-5, atol=1e-5)
    levels = np.unique(np.round((255 - told[names == "solarize"]) / 255 * 30, 4))
    np.testing.assert_array_equal(levels, np.arange(31))


def test_rand_draws_so_many_operations_of_about_that_magnitude():
    names, told = drawn("rand", num_ops=3, magnitude=5, magnitude_std=1)
    assert names.shape == (3000, 3)
    assert "invert" not in names
    strength = np.abs(told[names == "rotate"]) / 30 * 10
    assert abs(strength.mean() - 5) < 0.15
    assert abs(strength.std() - 1) < 0.12
    names, told = drawn("rand", count=400, magnitude=10, magnitude_std=0)
    assert set(told[names == "brightness"].round(4)) == {np.float32(0.1).round(4), np.float32(1.9).round(4)}
    assert set(told[names == "posterize"]) == {4}
    assert set(told[names == "translate_x"]) == {-14, 14}  # 150/331 of 32 pixels, whole ones


def test_auto_cifar_draws_the_pairs_of_its_table():
    names, told = drawn("auto_cifar", count=25 * 400)
    # Of 25 pairs, one begins with shear_y 8 (.5) and translate_y 9 (.7), one with shear_y 7 (.2) and posterize 7 (.3).
    assert np.mean(names[:, 0] == "shear_y") == pytest.approx(0.7 / 25, abs=0.006)
    assert np.mean(names[:, 0] == "invert") == pytest.approx(0.1 / 25, abs=0.003)
    slopes = np.unique(np.abs(told[names == "shear_y"]).round(4))
    np.testing.assert_allclose(slopes, [0.3 * 7 / 9, 0.3 * 8 / 9], atol=1e-4)
    # contrast 6 (.2) in one pair as the second, 7 (.6) in another as the first
    assert np.mean(names == "contrast") == pytest.approx((0.2 + 0.6) / 50, abs=0.003)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["augment.crop_scale=[0.5]"], "augment.crop_scale=[0.5]: must be two numbers, the smaller one first"),
        (["augment.erase_ratio=[3,0.3]"], "augment.erase_ratio=[3,0.3]: must be two numbers, the smaller one first"),
        (["augment.crop_padding=4", "augment.crop_scale=[0.5,1]"], "augment.crop_padding=4: does not go with the"),
        (["augment.repeats=3"], "augment.repeats=3: does not divide train.batch_size=256"),
        (
            ["augment.mixup=0.2", "augment.placement=device", "compute.devices=all"],
            "augment.placement=device: batches cannot be mixed after they are split over the devices",
        ),
    ],
)
def test_combinations_that_cannot_work_are_one_sentence(keys, message):
    from vit_train.errors import ConfigError

    with pytest.raises(ConfigError) as error:
        load_config(keys)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
