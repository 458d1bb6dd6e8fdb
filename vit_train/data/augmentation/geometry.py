"""All geometry of an image as one affine map, and with it one interpolation.

A map gives for the pixel (x, y) of the result the place (a0 x + a1 y + a2, b0 x + b1 y + b2) of the source from which
it takes its value, in pixel indices. Operations that follow each other in the image are composed from the last to the
first: `compose(first, last)`. A row of transforms is [a0, a1, a2, b0, b1, b2, 0, 0].
"""

from typing import Any, NamedTuple

import tensorflow as tf


class Affine(NamedTuple):
    """A map for each image; six float32 [B]."""

    a0: tf.Tensor
    a1: tf.Tensor
    a2: tf.Tensor
    b0: tf.Tensor
    b1: tf.Tensor
    b2: tf.Tensor


def rows(affine: Affine) -> tf.Tensor:
    """The maps as float32 [B, 8]."""
    zero = tf.zeros_like(affine.a0)
    return tf.stack([*affine, zero, zero], axis=1)


def compose(outer: Affine, inner: Affine) -> Affine:
    """The map p -> outer(inner(p))."""
    return Affine(
        outer.a0 * inner.a0 + outer.a1 * inner.b0,
        outer.a0 * inner.a1 + outer.a1 * inner.b1,
        outer.a0 * inner.a2 + outer.a1 * inner.b2 + outer.a2,
        outer.b0 * inner.a0 + outer.b1 * inner.b0,
        outer.b0 * inner.a1 + outer.b1 * inner.b1,
        outer.b0 * inner.a2 + outer.b1 * inner.b2 + outer.b2,
    )


def resize(batch: Any, source: tuple[int, int], size: int) -> Affine:
    """Resizes `batch` images of (height, width) pixels to `size` x `size`."""
    ones = tf.ones([batch])
    return turn_and_resize(ones, tf.zeros([batch]), ones, ones, source, size)


def turn_and_resize(
    mirror: tf.Tensor, angle: tf.Tensor, zoom_x: tf.Tensor, zoom_y: tf.Tensor, source: tuple[int, int], size: int
) -> Affine:
    """From a pixel of the result back over zoom, rotation, mirror and resize, by factors float32 [B]."""
    height, width = source
    scale_x, scale_y = width / size, height / size
    sin, cos = tf.sin(angle), tf.cos(angle)
    a0, a1 = scale_x * mirror * cos * zoom_x, -scale_x * mirror * sin * zoom_y
    b0, b1 = scale_y * sin * zoom_x, scale_y * cos * zoom_y
    # All maps turn about the centre of the image, which has index (size - 1) / 2.
    centre = (size - 1) / 2
    a2 = (width - 1) / 2 - centre * (a0 + a1)
    b2 = (height - 1) / 2 - centre * (b0 + b1)
    return Affine(a0, a1, a2, b0, b1, b2)


def slant(x: tf.Tensor, y: tf.Tensor, centre: float) -> Affine:
    """Shears along x by the slope `x` and along y by `y` about the index (centre, centre); both float32 [B]."""
    ones = tf.ones_like(x)
    return Affine(ones, x, -centre * x, y, ones, -centre * y)


def shift(x: tf.Tensor, y: tf.Tensor) -> Affine:
    """Moves the image by x pixels to the right and y pixels down; both float32 [B]."""
    ones, zeros = tf.ones_like(x), tf.zeros_like(x)
    return Affine(ones, zeros, -x, zeros, ones, -y)


def turn(angle: tf.Tensor, size: int) -> Affine:
    """Turns images of `size` x `size` pixels about their centre by float32 [B] radians, counter-clockwise."""
    sin, cos, centre = tf.sin(angle), tf.cos(angle), (size - 1) / 2
    return Affine(cos, -sin, centre * (1 - cos + sin), sin, cos, centre * (1 - cos - sin))


def box(x: tf.Tensor, y: tf.Tensor, width: tf.Tensor, height: tf.Tensor, source: tuple[int, int]) -> Affine:
    """Scales a box up to the whole image of (height, width) `source`; all are float32 [B], in fractions of the sides.

    `x` and `y` are 0 for the box at the left or at the top, 1 at the right or at the bottom.
    """
    zeros = tf.zeros_like(x)
    # Pixel edges are mapped, and an edge is half a pixel before its index.
    left = (1 - width) * x * source[1] + (width - 1) / 2
    top = (1 - height) * y * source[0] + (height - 1) / 2
    return Affine(width, zeros, left, zeros, height, top)
