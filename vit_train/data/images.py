"""Labelled images: what the rest of the program knows of them, wherever they are."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.integer]


class ImageSource(Protocol):
    """Images of one size and what they show, row by row."""

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """int32 [N], values 0 to the number of classes - 1."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every image, in pixels."""

    @property
    def channels(self) -> int:
        """3 of images in red, green and blue, 1 of grey ones."""

    @property
    def paths(self) -> "npt.NDArray[np.object_] | None":
        """str [N]: the images' files or, as FILE: row 7, their places in one; None where nothing names them."""

    def __len__(self) -> int: ...

    def take(self, indices: Indices) -> "ImageSource":
        """The examples at `indices` (integers [M], 0 to N - 1), in that order."""

    def read(self, indices: Indices) -> npt.NDArray[np.uint8]:
        """Images uint8 [M, H, W, C], 0 to 255, RGB or grey, row 0 on top; called by many threads; raises DataError."""

    def statistics(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and variance of each channel over all pixels: float64 [C] each, on the scale [0, 255]."""


@dataclass(frozen=True, eq=False)
class Examples:
    """An ImageSource in memory: `images` is uint8 [N, H, W, C]."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every image, in pixels."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def channels(self) -> int:
        """C: 3 or 1."""
        return int(self.images.shape[3])

    @property
    def paths(self) -> None:
        """There are no files."""

    def take(self, indices: Indices) -> "Examples":
        """The examples at `indices`, as copies."""
        return Examples(self.images[indices], self.labels[indices])

    def read(self, indices: Indices) -> npt.NDArray[np.uint8]:
        """The images at `indices`, as copies."""
        return self.images[indices]

    def statistics(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Exact, without a float copy of the images."""
        return moments(
            np.stack([np.bincount(self.images[..., c].ravel(), minlength=256) for c in range(self.channels)])
        )


def moments(counts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and variance of each channel, float64 [C] each, from how often it has each value, int64 [C, 256]."""
    values, total = np.arange(256.0), counts[0].sum()
    mean = counts @ values / total
    return mean, counts @ values**2 / total - mean**2


def with_channels(images: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """Images [..., 3] or [..., 1] -> [..., channels]: grey ones as red, green and blue, or uint8 colours as grey.

    Grey is luminance by ITU-R BT.601, to the bit as Pillow converts to its mode "L"; a grey that was three stays.
    """
    if images.shape[-1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=-1)
    weights = np.array([19595, 38470, 7471], np.uint32)  # of 2**16
    return ((images @ weights + 2**15) >> 16).astype(np.uint8)[..., None]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set: its train and test examples, and the name of each label, in order."""

    name: str
    train: ImageSource
    test: ImageSource
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what a user should know of the data
    fingerprint: str | None = None  # of the content, where it is not the same for everyone
    validation: ImageSource | None = None  # where the images come with such a part; else it is split off from train
    groups: "npt.NDArray[np.int64] | None" = None  # [N] of train: images of one number stay on one side of a split
