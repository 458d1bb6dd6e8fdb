"""The bytes of many picture files in a few large ones -> pixels of the size asked for."""

import hashlib
import io
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from vit_train.config.dataset import AS_IT_IS, Fitting
from vit_train.data.image_files import MAX_PIXELS, decoded, moments_of_sums
from vit_train.data.images import Indices
from vit_train.errors import DataError
from vit_train.files import cache_folder

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Packed:
    """The content of N picture files, which stays on the disk until it is needed.

    stores: uint8, mapped files. places: int64 [N, 3], which of them, the first byte and how many.
    """

    stores: tuple[Bytes, ...]
    places: npt.NDArray[np.int64]

    def take(self, rows: Indices) -> "Packed":
        """Those at `rows`, in that order."""
        return replace(self, places=self.places[rows])

    def content(self, row: int) -> bytes:
        """What the picture's file would hold."""
        store, start, length = self.places[row].tolist()
        return bytes(self.stores[store][start : start + length].data)


@dataclass(frozen=True, eq=False)
class PackedImages:
    """An ImageSource: as ImageFiles, with pictures of `packed` in place of files."""

    packed: Packed
    paths: npt.NDArray[np.object_]  # str [N], as FILE: row 7
    labels: npt.NDArray[np.int32]
    sums: npt.NDArray[np.int64]  # [N, 2, C], as of ImageFiles
    size: tuple[int, int]
    max_pixels: int = MAX_PIXELS
    fitting: Fitting = AS_IT_IS

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        """C: 3 or 1."""
        return self.fitting.channels

    def take(self, indices: Indices) -> "PackedImages":
        """The examples at `indices`, in that order."""
        paths, labels, sums = self.paths[indices], self.labels[indices], self.sums[indices]
        return replace(self, packed=self.packed.take(indices), paths=paths, labels=labels, sums=sums)

    def read(self, indices: Indices) -> npt.NDArray[np.uint8]:
        """The pictures at `indices`."""
        return np.stack([self._decoded(row, self.packed.content(row)) for row in indices])

    def look(self, row: int) -> tuple[npt.NDArray[np.uint8], bytes]:
        """A picture, uint8 [H, W, C], and the sha256 of its bytes; raises DataError for a bad one."""
        content = self.packed.content(row)
        return self._decoded(row, content), hashlib.sha256(content).digest()

    def open(self, row: int) -> io.BytesIO:
        """What the picture's file would hold."""
        return io.BytesIO(self.packed.content(row))

    def _decoded(self, row: int, content: bytes) -> npt.NDArray[np.uint8]:
        return decoded(self.paths[row], io.BytesIO(content), *self.size, self.max_pixels, self.fitting)

    def statistics(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """From the sums; nothing is read."""
        return moments_of_sums(self.sums, self.size)


class Stores:
    """Where the bytes of pictures are: mapped files, and a copy of what only is in a file compressed.

    The copy is a file without a name in the cache folder; it ends with the program, however that ends.
    """

    def __init__(self) -> None:
        self._mapped: list[Bytes] = []
        self._copies: IO[bytes] | None = None

    def map(self, file: Path) -> tuple[int, Bytes]:
        """(its number among the stores, its bytes); raises OSError, and ValueError if there are none."""
        self._mapped.append(np.memmap(file, np.uint8, "r"))
        return len(self._mapped), self._mapped[-1]

    def copy(self, content: Bytes) -> int:
        """Adds bytes to store 0 and returns where they begin; raises DataError if the disk has no room."""
        folder = cache_folder()
        try:
            if self._copies is None:
                folder.mkdir(parents=True, exist_ok=True)
                self._copies = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, `__exit__` closes it
            start = self._copies.tell()
            self._copies.write(content.data)
        except OSError as error:
            raise DataError(
                f"{folder}: pictures from parquet files cannot be put there while the program runs ({error.strerror}); "
                "make room, or set XDG_CACHE_HOME to another folder"
            ) from error
        return start

    def all(self) -> tuple[Bytes, ...]:
        """All of them, as they are now."""
        if self._copies is None or not self._copies.tell():
            return (np.zeros(0, np.uint8), *self._mapped)
        self._copies.flush()
        return (np.memmap(self._copies, np.uint8, "r"), *self._mapped)

    def __enter__(self) -> "Stores":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing can be added any more; what is mapped stays."""
        if self._copies is not None:
            self._copies.close()
