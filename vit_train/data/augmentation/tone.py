"""All tone of an image as one table: for each of the 256 values of each channel the value that it becomes.

Autocontrast, equalize and contrast depend on the image, but on its histogram only, and that after an operation follows
from the histogram before it. The operations are Pillow's (ImageOps, ImageEnhance), to a rounding.
"""

import tensorflow as tf

from vit_train.data.augmentation.apply import luminance
from vit_train.data.augmentation.policies import CODE

_VALUES = 256


def tables(images: tf.Tensor, codes: tf.Tensor, told: tf.Tensor) -> tf.Tensor:
    """uint8 [B, C, 256]: the tone operations among `codes` [B, slots] one after another, as `policies` describes them.

    `images` is uint8 [B, H, W, C].
    """
    channels = tf.reshape(tf.transpose(images, [0, 3, 1, 2]), [-1, images.shape[1] * images.shape[2]])
    histogram = _count(channels, images.shape[3])
    table = step = tf.zeros_like(histogram) + tf.range(_VALUES)
    for slot in range(codes.shape[1]):
        if slot:
            flat, weights = tf.reshape(step, [-1, _VALUES]), tf.reshape(histogram, [-1, _VALUES])
            histogram = _count(flat, images.shape[3], weights)
        # XLA would take quadratic time for the sum.
        step = _step(histogram, tf.cumsum(histogram, axis=2, exclusive=True), codes[:, slot], told[:, slot])
        table = tf.gather(step, table, batch_dims=2)
    return tf.cast(table, tf.uint8)


def _count(values: tf.Tensor, channels: int, weights: tf.Tensor | None = None) -> tf.Tensor:
    """int32 [B, C, 256]: how often each value is in a row of [B * C, N]."""
    found = tf.math.bincount(
        tf.cast(values, tf.int32), weights, minlength=_VALUES, maxlength=_VALUES, axis=-1, dtype=tf.int32
    )
    return tf.reshape(found, [-1, channels, _VALUES])


@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
def _step(histogram: tf.Tensor, below: tf.Tensor, code: tf.Tensor, told: tf.Tensor) -> tf.Tensor:
    """int32 [B, C, 256]: the table of one operation; `below` has for each value the pixels with smaller ones."""
    value = tf.zeros_like(histogram) + tf.range(_VALUES)
    code, told = code[:, None, None], told[:, None, None]
    whole = tf.cast(told, tf.int32)
    results = {
        "brightness": _blend(tf.zeros_like(told), value, told),
        "contrast": _blend(_mean_grey(histogram), value, told),
        "posterize": value - value % tf.bitwise.left_shift(1, 8 - tf.clip_by_value(whole, 0, 8)),
        "solarize": tf.where(tf.cast(value, tf.float32) < told, value, 255 - value),
        "autocontrast": _autocontrast(histogram, value),
        "equalize": _equalize(histogram, below, value),
        "invert": 255 - value,
    }
    table = value
    for name, result in results.items():
        table = tf.where(code == CODE[name], result, table)
    return table


def _blend(grey: tf.Tensor, value: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(grey + factor * (tf.cast(value, tf.float32) - grey), 0.0, 255.0), tf.int32)


def _mean_grey(histogram: tf.Tensor) -> tf.Tensor:
    """float32 [B, 1, 1], rounded."""
    counts = tf.cast(histogram, tf.float32)
    means = tf.reduce_sum(counts * tf.range(float(_VALUES)), axis=2) / tf.reduce_sum(counts, axis=2)
    return tf.floor(tf.reduce_sum(means * luminance(histogram.shape[1]), axis=1) + 0.5)[:, None, None]


def _ends(histogram: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The smallest and the largest value that there is, int32 [B, C, 1] each."""
    lowest = tf.reduce_min(tf.where(histogram > 0, value, _VALUES), axis=2, keepdims=True)
    return lowest, tf.reduce_max(tf.where(histogram > 0, value, -1), axis=2, keepdims=True)


def _autocontrast(histogram: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    lowest, highest = _ends(histogram, value)
    spread = (value - lowest) * 255 // tf.maximum(highest - lowest, 1)
    return tf.where(highest > lowest, tf.clip_by_value(spread, 0, 255), value)


def _equalize(histogram: tf.Tensor, below: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    lowest, highest = _ends(histogram, value)
    of_highest = tf.reduce_sum(tf.where(value == highest, histogram, 0), axis=2, keepdims=True)
    step = (tf.reduce_sum(histogram, axis=2, keepdims=True) - of_highest) // 255
    even = tf.minimum((step // 2 + below) // tf.maximum(step, 1), 255)
    return tf.where((highest > lowest) & (step > 0), even, value)
