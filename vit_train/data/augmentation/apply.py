"""Parameters and images -> images, on the CPU. `vit_train.models.resample` is the same for accelerators."""

from collections.abc import Mapping

import tensorflow as tf

GREY = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as Pillow's mode "L"

# For each image what `draw` and `draw_mix` made of it; all but the first are there only if the config asks for them.
#   transforms  float32 [B, 8]    the affine map, see `geometry`
#   tables      uint8 [B, C, 256] the value that each value of each channel becomes
#   factors     float32 [B, 2]    colour and sharpness, 1 leaves them
#   erase       float32 [B, 4]    left, top, right, bottom: pixels of the result that get its mean colour
#   mix         float32 [B, 5]    weight, and the rectangle of the partner, see `mixing`
#   partners    int32 [B]         the place in the batch of the image that each is mixed with
Parameters = Mapping[str, tf.Tensor]


def luminance(channels: int) -> tf.Tensor:
    """float32 [C]: how much of each channel is in how light a pixel is; of a grey image, all."""
    return tf.constant(GREY if channels == 3 else (1.0,))


def apply(images: tf.Tensor, parameters: Parameters, size: int) -> tf.Tensor:
    """uint8 [B, H, W, C] -> float32 [B, size, size, C], values in [0, 255]."""
    if "tables" in parameters:
        images = recolour(images, parameters["tables"], parameters["factors"])
        images = sharpen(images, parameters["factors"])
    result = resample(images, parameters["transforms"], size)
    if "erase" in parameters:
        result = erase(result, parameters["erase"])
    if "mix" in parameters:
        result = mix(result, tf.gather(result, parameters["partners"]), parameters["mix"])
    return result


# These are two functions, so that XLA does not look colours up for each of the nine pixels that sharpening takes.
@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
def recolour(images: tf.Tensor, tables: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """uint8 [B, H, W, C] -> the same with the tables' values, and between grey and themselves by the factor's first.

    Rounded as Pillow's ImageEnhance.Color rounds.
    """
    _, height, width, channels = images.shape
    places = tf.cast(images, tf.int32) + 256 * tf.range(channels)
    places = tf.reshape(places, [-1, height * width * channels])
    values = tf.gather(tf.reshape(tables, [-1, channels * 256]), places, batch_dims=1)
    values = tf.cast(tf.reshape(values, [-1, height, width, channels]), tf.float32)
    grey = tf.floor(tf.reduce_sum(values * luminance(channels), axis=-1, keepdims=True) + 0.5)
    return _to_bytes(grey + factors[:, :1, None, None] * (values - grey))


@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
def sharpen(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """uint8 [B, H, W, C] -> the same, between smooth and itself or beyond it by the factor's second.

    As Pillow's ImageEnhance.Sharpness: smooth is 1/13 of the 3 by 3 pixels with the one in their midst five times, and
    the outermost pixels stay.
    """
    values = tf.cast(images, tf.float32)
    height, width = images.shape[1:3]
    inner = values[:, 1:-1, 1:-1]
    total = 4 * inner
    for y in range(3):
        for x in range(3):
            total += values[:, y : height - 2 + y, x : width - 2 + x]
    smooth = tf.floor(total / 13 + 0.5)
    inner = smooth + factors[:, 1:, None, None] * (inner - smooth)
    row, column = tf.range(height)[:, None, None], tf.range(width)[None, :, None]
    border = (row == 0) | (row == height - 1) | (column == 0) | (column == width - 1)
    return _to_bytes(tf.where(border, values, tf.pad(inner, [[0, 0], [1, 1], [1, 1], [0, 0]])))


def _to_bytes(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.int32), tf.uint8)


@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
def erase(images: tf.Tensor, rectangles: tf.Tensor) -> tf.Tensor:
    """float32 [B, S, S, C] -> the same, with the mean colour of the image inside its rectangle, float32 [B, 4]."""
    return tf.where(_inside(rectangles, images.shape[1]), tf.reduce_mean(images, [1, 2], keepdims=True), images)


@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
def mix(images: tf.Tensor, partners: tf.Tensor, mixes: tf.Tensor) -> tf.Tensor:
    """float32 [B, S, S, C], twice -> [B, S, S, C], see `mixing`; mixes is float32 [B, 5]."""
    weight = mixes[:, :1, None, None]
    inside = _inside(mixes[:, 1:], images.shape[1])
    return tf.where(inside, partners, weight * images + (1 - weight) * partners)


def _inside(rectangles: tf.Tensor, size: int) -> tf.Tensor:
    """bool [B, S, S, 1]."""
    left, top, right, bottom = tf.unstack(rectangles[:, :, None, None, None], axis=1)
    place = tf.range(size, dtype=tf.float32)
    x, y = place[None, None, :, None], place[None, :, None, None]
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)


# As one loop, by XLA, it is five times as fast as TensorFlow's ImageProjectiveTransformV3.
@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
def resample(images: tf.Tensor, transforms: tf.Tensor, size: int) -> tf.Tensor:
    """uint8 [B, H, W, C] and float32 [B, 8] -> float32 [B, size, size, C], values in [0, 255]."""
    _, height, width, channels = images.shape
    pixels = tf.reshape(images, [-1, height * width, channels])
    a0, a1, a2, b0, b1, b2, _, _ = tf.unstack(transforms[:, :, None, None], axis=1)
    place = tf.range(size, dtype=tf.float32)
    x, y = place[None, None, :], place[None, :, None]
    source_x, source_y = _reflect(a0 * x + a1 * y + a2, width), _reflect(b0 * x + b1 * y + b2, height)
    left, top = tf.floor(source_x), tf.floor(source_y)
    right, bottom = tf.minimum(left + 1, width - 1), tf.minimum(top + 1, height - 1)
    share_x, share_y = (source_x - left)[..., None], (source_y - top)[..., None]

    def values(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(pixels, tf.cast(row * width + column, tf.int32), batch_dims=1), tf.float32)

    upper = values(top, left) * (1 - share_x) + values(top, right) * share_x
    lower = values(bottom, left) * (1 - share_x) + values(bottom, right) * share_x
    return upper * (1 - share_y) + lower * share_y


def _reflect(coordinate: tf.Tensor, length: int) -> tf.Tensor:
    """Folds pixel coordinates into [0, length - 1] by mirroring at the outer edges of the first and last pixel."""
    folded = coordinate - 2.0 * length * tf.floor(coordinate / (2.0 * length))
    return tf.clip_by_value(tf.minimum(folded, 2.0 * length - 1 - folded), 0.0, length - 1.0)
