"""Resize, flip, rotation and zoom as one affine map per image, drawn without state.

A transform is a row [a0, a1, a2, b0, b1, b2, 0, 0] of float32: the pixel (x, y) of the result takes its value from
(a0 x + a1 y + a2, b0 x + b1 y + b2) of the source, in pixel indices, between pixels bilinearly, outside by reflection.
One warp with the product of all maps replaces one interpolation each.
"""

import math
from typing import Any

import tensorflow as tf

from vit_train.config import AugmentConfig


def resize_transforms(batch: Any, source: tuple[int, int], size: int) -> tf.Tensor:
    """float32 [B, 8] for `batch` images: resizes a source of (height, width) pixels to `size` x `size`."""
    ones = tf.ones([batch])
    return _transforms(ones, tf.zeros([batch]), ones, ones, source, size)


def draw_transforms(
    config: AugmentConfig, seed: int, examples: tf.Tensor, epoch: tf.Tensor, source: tuple[int, int], size: int
) -> tf.Tensor:
    """float32 [B, 8]: resize and a random flip, rotation and zoom for each of `examples` (int64 [B]).

    A pure function of (seed, example, epoch). Distributions are those of Keras' RandomFlip("horizontal"),
    RandomRotation(config.rotation) and RandomZoom(config.zoom, config.zoom), applied in this order.
    """
    key = tf.constant(seed << 32, tf.int64) + epoch  # the two halves of one number: no two pairs share it

    def draw(example: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform([4], seed=tf.stack([key, example]), minval=-1.0, maxval=1.0)

    flip, rotation, zoom_x, zoom_y = tf.unstack(tf.map_fn(draw, examples, fn_output_signature=tf.float32), axis=1)
    mirror = tf.where((flip < 0) & config.flip, -1.0, 1.0)
    angle = rotation * (config.rotation * 2 * math.pi)
    return _transforms(mirror, angle, 1 + zoom_x * config.zoom, 1 + zoom_y * config.zoom, source, size)


def _transforms(
    mirror: tf.Tensor, angle: tf.Tensor, zoom_x: tf.Tensor, zoom_y: tf.Tensor, source: tuple[int, int], size: int
) -> tf.Tensor:
    """The rows for float32 [B] factors: from a pixel of the result back over zoom, rotation, mirror and resize."""
    height, width = source
    scale_x, scale_y = width / size, height / size
    sin, cos = tf.sin(angle), tf.cos(angle)
    a0, a1 = scale_x * mirror * cos * zoom_x, -scale_x * mirror * sin * zoom_y
    b0, b1 = scale_y * sin * zoom_x, scale_y * cos * zoom_y
    # All maps turn about the centre of the image, which has index (size - 1) / 2.
    centre = (size - 1) / 2
    a2 = (width - 1) / 2 - centre * (a0 + a1)
    b2 = (height - 1) / 2 - centre * (b0 + b1)
    zero = tf.zeros_like(a0)
    return tf.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)


def warp(images: tf.Tensor, transforms: tf.Tensor, size: int) -> tf.Tensor:
    """uint8 [B, H, W, C] and float32 [B, 8] -> float32 [B, size, size, C], values in [0, 255]."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=transforms,
        output_shape=[size, size],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
