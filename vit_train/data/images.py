"""Images in memory, with their labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Examples:
    """Images and what they show, row by row.

    images: uint8 [N, H, W, 3], values 0 to 255 in the order red, green, blue; row 0 of an image is its top.
    labels: int32 [N], values 0 to the number of classes - 1.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.integer]) -> "Examples":
        """The examples at `indices` (integers [M], 0 to N - 1), in that order, as copies."""
        return Examples(self.images[indices], self.labels[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set as it is published: its train and test examples, and the name of each label, in order."""

    name: str
    train: Examples
    test: Examples
    class_names: tuple[str, ...]
