"""The resample of `data/augmentation.py` as a layer, for accelerators: the same pixels, on every Keras backend."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="vit_train")
class Resample(keras.layers.Layer):
    """Resamples images bilinearly: uint8 [B, H, W, C] and float32 transforms [B, 8] -> float32 [B, size, size, C].

    Transforms are rows as `vit_train.data.augmentation` describes them.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.size = size

    def call(self, images_BHWC: Any, transforms_B8: Any) -> Any:
        _, height, width, channels = images_BHWC.shape
        index = ops.arange(self.size * self.size, dtype="int32")
        x, y = ops.cast(index % self.size, "float32"), ops.cast(index // self.size, "float32")
        a0, a1, a2, b0, b1, b2, _, _ = ops.split(ops.cast(transforms_B8, "float32"), 8, axis=1)
        source_x = reflect(a0 * x + a1 * y + a2, width)
        source_y = reflect(b0 * x + b1 * y + b2, height)
        left, top = ops.floor(source_x), ops.floor(source_y)
        right, bottom = ops.minimum(left + 1, width - 1), ops.minimum(top + 1, height - 1)
        pixels = ops.cast(ops.reshape(images_BHWC, (-1, height * width, channels)), "float32")

        def value(row: Any, column: Any) -> Any:
            flat = ops.cast(row * width + column, "int32")[..., None]
            return ops.take_along_axis(pixels, ops.repeat(flat, channels, axis=-1), axis=1)

        share_x, share_y = (source_x - left)[..., None], (source_y - top)[..., None]
        upper = value(top, left) * (1 - share_x) + value(top, right) * share_x
        lower = value(bottom, left) * (1 - share_x) + value(bottom, right) * share_x
        return ops.reshape(upper * (1 - share_y) + lower * share_y, (-1, self.size, self.size, channels))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "size": self.size}


def reflect(coordinate: Any, length: int) -> Any:
    """Folds pixel coordinates into [0, length - 1] by mirroring at the outer edges of the first and last pixel."""
    folded = ops.mod(coordinate, 2.0 * length)
    return ops.clip(ops.minimum(folded, 2.0 * length - 1 - folded), 0.0, length - 1.0)
