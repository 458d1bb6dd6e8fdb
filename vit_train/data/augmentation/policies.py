"""Which operations a policy draws for an image, and how strong: torchvision's operations, ranges and tables.

Sources: S. Müller and F. Hutter, "TrivialAugment", 2021 (its "wide" ranges); E. Cubuk et al., "RandAugment", 2019, and
"AutoAugment", 2018 (its policy for CIFAR-10); torchvision/transforms/autoaugment.py.
"""

import numpy as np
import tensorflow as tf

from vit_train.config.augmentation import AugmentConfig

# An operation is its place in this list. All but the last are those of TrivialAugment and RandAugment.
OPERATIONS = (
    "identity shear_x shear_y translate_x translate_y rotate brightness color contrast sharpness posterize solarize "
    "autocontrast equalize invert"
).split()
_RANDOM = len(OPERATIONS) - 1
CODE = {name: place for place, name in enumerate(OPERATIONS)}

NUMBERS = 3  # random numbers for each operation
_TRIVIAL_BINS = 31
_AUTO_BINS = 10  # of the magnitudes 0 to 9 below

# Pairs of (operation, probability, magnitude); for operations without a magnitude it is 0.
_AUTO_CIFAR = """
    invert .1 0  contrast .2 6      | rotate .7 2  translate_x .3 9    | sharpness .8 1  sharpness .9 3
    shear_y .5 8  translate_y .7 9  | autocontrast .5 0  equalize .9 0 | shear_y .2 7  posterize .3 7
    color .4 3  brightness .6 7     | sharpness .3 9  brightness .7 9  | equalize .6 0  equalize .5 0
    contrast .6 7  sharpness .6 5   | color .7 7  translate_x .5 8     | equalize .3 0  autocontrast .4 0
    translate_y .4 3  sharpness .2 6 | brightness .9 6  color .2 8     | solarize .5 2  invert .0 0
    equalize .2 0  autocontrast .6 0 | equalize .2 0  equalize .6 0    | color .9 9  equalize .6 0
    autocontrast .8 0  solarize .2 8 | brightness .1 3  color .7 0     | solarize .4 5  autocontrast .9 0
    translate_y .9 9  translate_y .7 9 | autocontrast .9 0  solarize .8 3 | equalize .8 0  invert .1 0
    translate_y .7 9  autocontrast .9 0
"""


def slots(config: AugmentConfig) -> int:
    """How many operations an image gets at most."""
    return {"none": 0, "trivial": 1, "rand": config.num_ops, "auto_cifar": 2}[config.policy]


def draw_operations(
    config: AugmentConfig, numbers: tf.Tensor, choice: tf.Tensor, source: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Operations int32 [B, slots] and what they are told, float32 [B, slots].

    `numbers` is float32 [B, slots * NUMBERS] and `choice` [B], both evenly distributed in [-1, 1). Told is the slope of
    a shear, the pixels of the source to shift by, the angle of a rotation in degrees, the factor of brightness, colour,
    contrast and sharpness, the bits that posterising keeps, or the value from which on solarising inverts.
    """
    first, second, third = tf.unstack(tf.reshape(numbers, [-1, slots(config), NUMBERS]), axis=2)
    if config.policy == "auto_cifar":
        codes, probabilities, levels = _auto_cifar()
        row = _index(choice, len(codes))
        code = tf.where((first + 1) / 2 <= tf.gather(probabilities, row), tf.gather(codes, row), CODE["identity"])
        strength = tf.gather(levels, row)
    else:
        code = _index(first, _RANDOM)
        if config.policy == "trivial":
            strength = tf.cast(_index(second, _TRIVIAL_BINS), tf.float32) / (_TRIVIAL_BINS - 1)
        else:  # numbers of a normal distribution, from even ones
            level = config.magnitude + config.magnitude_std * np.sqrt(2) * tf.math.erfinv(second)
            strength = tf.clip_by_value(level, 0.0, 10.0) / 10
    start, extent, signed = (tf.gather(column, code) for column in _ranges(config.policy, source))
    told = start + tf.where(signed & (third < 0), -extent, extent) * strength
    whole = (code == CODE["posterize"]) | (code == CODE["translate_x"]) | (code == CODE["translate_y"])
    rounded = tf.where(code == CODE["posterize"], tf.round(told), tf.sign(told) * tf.floor(tf.abs(told)))
    return code, tf.where(whole, rounded, told)


def _index(number: tf.Tensor, count: int) -> tf.Tensor:
    """int32 in 0 to count - 1, evenly, for numbers in [-1, 1)."""
    return tf.minimum(tf.cast((number + 1) / 2 * count, tf.int32), count - 1)


def _ranges(policy: str, source: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each operation what it is told at strength 0, how much that changes to strength 1, and whether to both sides.

    float32, float32 and bool [operations].
    """
    wide = policy == "trivial"
    height, width = source
    shear, rotation, factor, bits = (0.99, 135.0, 0.99, -6.0) if wide else (0.3, 30.0, 0.9, -4.0)
    shift_x, shift_y = (32.0, 32.0) if wide else (150 / 331 * width, 150 / 331 * height)
    ranges = dict.fromkeys(OPERATIONS, (0.0, 0.0, False)) | {
        "shear_x": (0, shear, True),
        "shear_y": (0, shear, True),
        "translate_x": (0, shift_x, True),
        "translate_y": (0, shift_y, True),
        "rotate": (0, rotation, True),
        **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), (1, factor, True)),
        "posterize": (8, bits, False),
        "solarize": (255, -255, False),
    }
    start, extent, signed = zip(*ranges.values(), strict=True)
    return np.array(start, np.float32), np.array(extent, np.float32), np.array(signed)


def _auto_cifar() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes int32, probabilities float32 and strengths float32 of AutoAugment's pairs, [25, 2] each."""
    words = np.array(_AUTO_CIFAR.replace("|", " ").split()).reshape(-1, 2, 3)
    codes = np.vectorize(CODE.__getitem__)(words[..., 0]).astype(np.int32)
    return codes, words[..., 1].astype(np.float32), words[..., 2].astype(np.float32) / (_AUTO_BINS - 1)
