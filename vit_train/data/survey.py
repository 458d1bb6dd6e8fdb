"""Every picture of a data set, looked at once: what can be said of it without knowing what it shows."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ExifTags import Base

from vit_train.console import doing
from vit_train.data import lookalikes
from vit_train.data.image_files import ImageFiles
from vit_train.data.images import Dataset, ImageSource, with_channels
from vit_train.data.packed import PackedImages

_AT_ONCE = 64
_Files = (ImageFiles, PackedImages)


@dataclass(frozen=True, eq=False)
class Part:
    """The N pictures of a part, row by row.

    names: str [N], as `dataset.exclude` takes them, or such as train/17 where nothing names the pictures.
    files: whether the pictures are files, if only inside of another one.
    thumbnails: uint8 [N, 32, 32], grey. colours: float64 [N, 3], means of red, green and blue in [0, 255].
    contrast: float64 [N], the standard deviation of all values in [0, 255], around the mean of their channel.
    sizes: int64 [N, 2], height and width as stored. turns: int64 [N], the orientation of EXIF, 1 for upright.
    digests: bytes [N], of the file or, where there is none, of the pixels.
    """

    name: str
    source: ImageSource
    files: bool
    names: Sequence[str]
    thumbnails: npt.NDArray[np.uint8]
    colours: npt.NDArray[np.float64]
    contrast: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.int64]
    turns: npt.NDArray[np.int64]
    digests: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.names)


def survey(dataset: Dataset, root: Path) -> list[Part]:
    """The parts train, validation if the data set has one of its own, and test; files are named as from `root`."""
    sources = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    parts = []
    for name, source in sources.items():
        if source is not None:
            doing(f"looking at {len(source):,} pictures of {name}")
            parts.append(_part(name, source, root))
    return parts


def _part(name: str, source: ImageSource, root: Path) -> Part:
    starts = range(0, len(source), _AT_ONCE)
    with ThreadPool() as pool:
        chunks = pool.map(lambda start: list(_look(source, start)), starts, chunksize=1)
    thumbnails, colours, contrast, sizes, turns, digests = zip(*(row for chunk in chunks for row in chunk), strict=True)
    if source.paths is None:
        names = [f"{name}/{row}" for row in range(len(source))]
    else:
        names = [os.path.relpath(path, root) for path in source.paths]
    return Part(
        name, source, isinstance(source, _Files), names, np.array(thumbnails), np.array(colours), np.array(contrast),
        np.array(sizes), np.array(turns), digests,
    )  # fmt: skip


def _look(source: ImageSource, start: int) -> Iterator[tuple[object, ...]]:
    """The columns of `Part` for some rows."""
    rows = np.arange(start, min(start + _AT_ONCE, len(source)))
    for row, image in zip(rows.tolist(), with_channels(source.read(rows), 3), strict=True):
        colour = image.mean(axis=(0, 1))
        thumbnail = lookalikes.thumbnail(Image.fromarray(image))
        contrast = np.sqrt(((image - colour) ** 2).mean())
        stored = _in_file(source, row) if isinstance(source, _Files) else _in_memory(image)
        yield thumbnail, colour, contrast, *stored


def _in_memory(image: npt.NDArray[np.uint8]) -> tuple[tuple[int, ...], int, bytes]:
    return image.shape[:2], 1, hashlib.sha256(image.tobytes()).digest()


def _in_file(source: ImageFiles | PackedImages, row: int) -> tuple[tuple[int, int], int, bytes]:
    """Size, orientation and digest of a file, which could be read a moment ago."""
    with source.open(row) as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        with Image.open(file) as image:
            try:
                turn = int(image.getexif().get(Base.Orientation, 1))
            except Exception:  # a broken EXIF block is none
                turn = 1
            return (image.height, image.width), turn if 1 <= turn <= 8 else 1, digest
