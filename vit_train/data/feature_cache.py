"""Features of images on the disk, for the next run with the same frozen weights: `train.cache_features`."""

import os
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vit_train.console import say
from vit_train.data import kept
from vit_train.files import cache_folder, written_beside

LIMIT = 10 * 2**30  # bytes of all features together; those that were not used for the longest time go first
Features = list[npt.NDArray[np.float32]]  # of the training and of the validation images, [N, ...] each


def folder() -> Path:
    """Where they are; may not exist yet."""
    return cache_folder() / "features"


def read(key: str) -> Features | None:
    """The features that were written as `key`, or None if they are not there or are damaged."""
    path = folder() / f"{key}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            features = [found["training"], found["validation"]]
        os.utime(path)  # it was used
        return features
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def write(key: str, features: Features) -> None:
    """Keeps features, and removes the oldest beyond the limit; what fails is a note."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with written_beside(folder() / f"{key}.npz") as part:
            np.savez(part, training=features[0], validation=features[1])
        kept.trim(folder(), LIMIT)
    except (OSError, RuntimeError) as error:
        say(f"note: the features are not kept for later runs ({error})")


def entries() -> list[Path]:
    """The files, the one that was not used for the longest time first; raises OSError if they cannot be looked at."""
    return kept.entries(folder())
