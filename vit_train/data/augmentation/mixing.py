"""Mixup and CutMix: one draw for a whole batch, of (seed, step).

Sources: H. Zhang et al., "mixup", 2017; S. Yun et al., "CutMix", 2019; as timm mixes them ("batch" mode): every image
with the one at the mirrored place of the batch, which is a random one, since the order is.
"""

import tensorflow as tf

from vit_train.config.augmentation import AugmentConfig
from vit_train.data.augmentation.apply import Parameters


def draw_mix(
    config: AugmentConfig, seed: int, step: tf.Tensor, wanted: tf.Tensor, batch: tf.Tensor, size: int
) -> Parameters:
    """How a batch of `batch` images of `size` x `size` pixels is mixed in `step` (int64 []), if `wanted` (bool []).

    "mix" is float32 [B, 5] = (weight, left, top, right, bottom): the image counts `weight` and its partner the rest,
    and inside the rectangle there is the partner only. "partners" is int32 [B].
    """
    # No example has a negative number, so these are not the numbers that any of them is varied with.
    key = tf.constant(seed << 32, tf.int64)
    numbers = tf.random.stateless_uniform([4], seed=tf.stack([key, -1 - 2 * step]))
    cuts = numbers[0] < (config.mix_switch if config.mixup > 0 and config.cutmix > 0 else float(config.cutmix > 0))
    mixed = wanted & (numbers[1] < config.mix_probability)
    kept = _beta(tf.where(cuts, config.cutmix, config.mixup), tf.stack([key, -2 - 2 * step]))
    weight = tf.where(mixed & ~cuts, kept, 1.0)
    side = tf.where(mixed & cuts, tf.floor(size * tf.sqrt(1 - kept)), 0.0)
    centre, half = tf.floor(numbers[2:4] * size), tf.floor(side / 2)
    start, end = (tf.clip_by_value(edge, 0.0, float(size)) for edge in (centre - half, centre + half))
    row = tf.stack([weight, start[0], start[1], end[0], end[1]])
    return {"mix": tf.tile(row[None], [batch, 1]), "partners": tf.range(batch - 1, -1, -1)}


def unmixed(batch: tf.Tensor) -> Parameters:
    """The parameters with which `batch` images stay what they are."""
    row = tf.constant([[1.0, 0.0, 0.0, 0.0, 0.0]])
    return {"mix": tf.tile(row, [batch, 1]), "partners": tf.range(batch)}


def mix_targets(labels: tf.Tensor, classes: int, parameters: Parameters, size: int) -> tf.Tensor:
    """int32 [B] -> float32 [B, classes], by the fractions of the pixels of `size` x `size` images."""
    weight, left, top, right, bottom = tf.unstack(parameters["mix"], axis=1)
    own = (weight * (1 - (right - left) * (bottom - top) / size**2))[:, None]
    targets = tf.one_hot(labels, classes)
    return own * targets + (1 - own) * tf.gather(targets, parameters["partners"])


def _beta(alpha: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """float32 [], of the distribution Beta(alpha, alpha)."""
    # Two gamma variables, in float64 since for small alpha most are tiny.
    first, second = tf.unstack(tf.random.stateless_gamma([2], seed, tf.cast(alpha, tf.float64), dtype=tf.float64))
    total = first + second
    return tf.cast(tf.where(total > 0, first / total, 0.5), tf.float32)
