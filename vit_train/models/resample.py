"""`vit_train/data/augmentation/apply.py` as a layer, for accelerators: the same pixels, on every Keras backend."""

from typing import Any

import keras
from keras import ops

from vit_train.config.augmentation import AugmentConfig

_GREY = (0.299, 0.587, 0.114)  # of red, green and blue, as the host has it


def augmentation_inputs(config: AugmentConfig, source: tuple[int, int, int]) -> dict[str, Any]:
    """Keras inputs for images of a shape `source` (H, W, C) and for the parameters that batches of `config` have."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "images": (source, "uint8"),
        "transforms": ((8,), "float32"),
    }
    if config.policy != "none":
        shapes |= {"tables": ((source[2], 256), "uint8"), "factors": ((2,), "float32")}
    if config.erase:
        shapes["erase"] = ((4,), "float32")
    if config.mixes:
        shapes |= {"mix": ((5,), "float32"), "partners": ((), "int32")}
    return {name: keras.Input(shape, dtype=dtype, name=name) for name, (shape, dtype) in shapes.items()}


@keras.saving.register_keras_serializable(package="vit_train")
class Augment(keras.layers.Layer):
    """Varies images: a dict of "images", uint8 [B, H, W, C], and their parameters -> float32 [B, size, size, C].

    Parameters are what `vit_train.data.augmentation.apply` describes; all but "transforms" may be absent.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.size = size

    def call(self, inputs: dict[str, Any]) -> Any:
        images = inputs["images"]
        if "tables" in inputs:
            images = sharpen(recolour(images, inputs["tables"], inputs["factors"]), inputs["factors"])
        result = resample(images, inputs["transforms"], self.size)
        if "erase" in inputs:
            result = erase(result, inputs["erase"])
        if "mix" in inputs:
            result = mix(result, ops.take(result, inputs["partners"], axis=0), inputs["mix"])
        return result

    def compute_output_shape(self, inputs: dict[str, Any]) -> tuple[int | None, ...]:
        return (inputs["images"][0], self.size, self.size, inputs["images"][-1])

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "size": self.size}


def resample(images_BHWC: Any, transforms_B8: Any, size: int) -> Any:
    """Images [B, H, W, C] of any type and float32 [B, 8] -> float32 [B, size, size, C], bilinear."""
    _, height, width, channels = images_BHWC.shape
    index = ops.arange(size * size, dtype="int32")
    x, y = ops.cast(index % size, "float32"), ops.cast(index // size, "float32")
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
    return ops.reshape(upper * (1 - share_y) + lower * share_y, (-1, size, size, channels))


def reflect(coordinate: Any, length: int) -> Any:
    """Folds pixel coordinates into [0, length - 1] by mirroring at the outer edges of the first and last pixel."""
    folded = ops.mod(coordinate, 2.0 * length)
    return ops.clip(ops.minimum(folded, 2.0 * length - 1 - folded), 0.0, length - 1.0)


def recolour(images_BHWC: Any, tables_BCV: Any, factors_B2: Any) -> Any:
    """The tables' values, and those between grey and themselves: float32 [B, H, W, C], whole numbers, 0 to 255."""
    _, height, width, channels = images_BHWC.shape
    places = ops.cast(images_BHWC, "int32") + 256 * ops.arange(channels, dtype="int32")
    tables = ops.reshape(ops.cast(tables_BCV, "float32"), (-1, channels * 256))
    values = ops.take_along_axis(tables, ops.reshape(places, (-1, height * width * channels)), axis=1)
    values = ops.reshape(values, (-1, height, width, channels))
    weights = ops.convert_to_tensor(_GREY if channels == 3 else (1.0,), "float32")
    grey = ops.floor(ops.sum(values * weights, axis=-1, keepdims=True) + 0.5)
    return _whole(grey + factors_B2[:, :1, None, None] * (values - grey))


def sharpen(values_BHWC: Any, factors_B2: Any) -> Any:
    """Between smooth and themselves or beyond, but for the outermost pixels; float32 in and out."""
    _, height, width, _ = values_BHWC.shape
    inner = values_BHWC[:, 1:-1, 1:-1]
    total = 4 * inner
    for y in range(3):
        for x in range(3):
            total = total + values_BHWC[:, y : height - 2 + y, x : width - 2 + x]
    smooth = ops.floor(total / 13 + 0.5)
    inner = ops.pad(smooth + factors_B2[:, 1:, None, None] * (inner - smooth), ((0, 0), (1, 1), (1, 1), (0, 0)))
    row, column = ops.arange(height)[:, None, None], ops.arange(width)[None, :, None]
    rows, columns = (row == 0) | (row == height - 1), (column == 0) | (column == width - 1)
    return _whole(ops.where(ops.logical_or(rows, columns), values_BHWC, inner))


def _whole(values: Any) -> Any:
    return ops.floor(ops.clip(values, 0.0, 255.0))


def erase(images_BSSC: Any, rectangles_B4: Any) -> Any:
    """The images with their mean colours inside the rectangles."""
    mean = ops.mean(images_BSSC, axis=(1, 2), keepdims=True)
    return ops.where(_inside(rectangles_B4, images_BSSC.shape[1]), mean, images_BSSC)


def mix(images_BSSC: Any, partners_BSSC: Any, mixes_B5: Any) -> Any:
    """The images and their partners, by a weight, and inside a rectangle the partners only."""
    weight = mixes_B5[:, :1, None, None]
    blend = weight * images_BSSC + (1 - weight) * partners_BSSC
    return ops.where(_inside(mixes_B5[:, 1:], images_BSSC.shape[1]), partners_BSSC, blend)


def _inside(rectangles_B4: Any, size: int) -> Any:
    left, top, right, bottom = (edge[:, :, None, None] for edge in ops.split(rectangles_B4, 4, axis=1))
    place = ops.arange(size, dtype="float32")
    x, y = place[None, None, :, None], place[None, :, None, None]
    across, down = ops.logical_and(x >= left, x < right), ops.logical_and(y >= top, y < bottom)
    return ops.logical_and(across, down)
