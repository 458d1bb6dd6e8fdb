"""Resize, flip, rotation and zoom as one affine map per image, drawn without state.

A transform is a row [a0, a1, a2, b0, b1, b2, 0, 0] of float32: the pixel (x, y) of the result takes its value from
(a0 x + a1 y + a2, b0 x + b1 y + b2) of the source, in pixel indices, between pixels bilinearly, outside by reflection.
One resample with the product of all maps replaces one interpolation each.
"""

from typing import Any

import tensorflow as tf


def resize_transforms(batch: Any, source: tuple[int, int], size: int) -> tf.Tensor:
    """float32 [B, 8] for `batch` images: resizes a source of (height, width) pixels to `size` x `size`."""
    ones = tf.ones([batch])
    return base_transforms(ones, tf.zeros([batch]), ones, ones, source, size)


def base_transforms(
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
