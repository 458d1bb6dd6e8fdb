"""Parameters and images -> images, on the CPU. `vit_train.models.resample` is the same for accelerators."""

from collections.abc import Mapping

import tensorflow as tf

# For each image what `draw` made of it:
# transforms    float32 [B, 8], of `geometry`
Parameters = Mapping[str, tf.Tensor]


def apply(images: tf.Tensor, parameters: Parameters, size: int) -> tf.Tensor:
    """uint8 [B, H, W, C] -> float32 [B, size, size, C], values in [0, 255]."""
    return resample(images, parameters["transforms"], size)


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
