"""Images and labels as arrays in a .npz file: mapped where they are not compressed, and nothing in it is run."""

import hashlib
import itertools
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vit_train.config.dataset import DatasetConfig
from vit_train.data.classes import in_order
from vit_train.data.columns import NO_LABEL, is_no_label
from vit_train.data.copies import TEST, TRAIN, VALIDATION
from vit_train.data.exclude import without
from vit_train.data.images import Dataset, Indices, moments, with_channels
from vit_train.data.listing import Listing, assemble, require_all_classes, settled
from vit_train.data.roots import expanded
from vit_train.errors import DataError
from vit_train.text import one_line, some

# What the arrays of a part are called: by themselves, in Keras' files, and in those of MedMNIST.
_PAIRS = {
    TRAIN: (("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels")),
    TEST: (("x_test", "y_test"), ("test_images", "test_labels")),
    VALIDATION: (("x_val", "y_val"), ("x_valid", "y_valid"), ("val_images", "val_labels")),
}
_MOST_BYTES = 2**33  # of a compressed array, which is kept in memory
_MOST_UNPACKED, _ALWAYS_UNPACKED = 100, 2**28  # times the bytes of a compressed array, and bytes
_CHUNK = 1024  # images at once


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """An ImageSource in arrays, which may be mapped files: `take` copies no image."""

    arrays: tuple[npt.NDArray[np.uint8], ...]  # of one size, each [N, H, W, 3] or [N, H, W, 1]
    rows: npt.NDArray[np.int64]  # [N], in all arrays one after the other
    labels: npt.NDArray[np.int32]
    names: tuple[str, ...]  # of the arrays, as FILE: x_train
    channels: int = 3  # of the images, whatever the arrays have

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every image, in pixels."""
        return self.arrays[0].shape[1], self.arrays[0].shape[2]

    @property
    def paths(self) -> npt.NDArray[np.object_]:
        """str [N]: the images' places, as FILE: x_train[7]."""
        ends = np.cumsum(list(map(len, self.arrays)))
        which = np.searchsorted(ends, self.rows, side="right")
        places = self.rows - np.array([0, *ends])[which]
        return np.array([f"{self.names[array]}[{row}]" for array, row in zip(which, places, strict=True)], object)

    def take(self, indices: Indices) -> "ArrayImages":
        """The examples at `indices`, in that order."""
        return replace(self, rows=self.rows[indices], labels=self.labels[indices])

    def read(self, indices: Indices) -> npt.NDArray[np.uint8]:
        """The images at `indices`, as copies."""
        rows, first = self.rows[indices], 0
        images = np.empty((len(rows), *self.size, self.channels), np.uint8)
        for array in self.arrays:
            here = (rows >= first) & (rows < first + len(array))
            images[here] = with_channels(array[rows[here] - first], self.channels)
            first += len(array)
        return images

    def statistics(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Exact; some images at a time."""
        counts = np.zeros((self.channels, 256), np.int64)
        for start in range(0, len(self), _CHUNK):
            images = self.read(np.arange(start, min(start + _CHUNK, len(self))))
            counts += [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(self.channels)]
        return moments(counts)


def load_npz(root: str, options: DatasetConfig) -> Dataset:
    """The images of a .npz file, of their own size: images and labels, or as Keras and MedMNIST name train and test.

    Images are uint8 [N, H, W, 3], or grey without the 3; labels whole numbers or names, [N] or [N, 1], of which the
    former are places in class_names, text [K], if that is there. Where parts are missing it is as for tables. Raises
    DataError for anything else, and for pickled objects, before it allocates what a file only claims to hold.
    """
    file = expanded(root)
    if file.exists() and not file.is_file():
        raise DataError(f"{file}: is no file; set dataset.root to the .npz file")
    try:
        with zipfile.ZipFile(file) as archive:
            return _load(_Arrays(file, archive), options)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error}); fix that, or set dataset.root") from error
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, RuntimeError, EOFError) as error:
        raise DataError(
            f"{file}: is no .npz file, or a damaged one ({one_line(str(error))}); write it again with np.savez"
        ) from error


def _load(file: "_Arrays", options: DatasetConfig) -> Dataset:
    found = [(part, *pair) for part, pairs in _PAIRS.items() for pair in pairs if pair[0] in file.entries]
    if not found:
        raise DataError(f"{file.path}: must have images and labels, or x_train, y_train, x_test and y_test, and has "
                        f"{one_line(some(file.entries, 10)) or 'nothing'}; name the arrays so")  # fmt: skip
    if twice := [images for (part, *_), (other, images, _) in itertools.pairwise(found) if part == other]:
        raise DataError(f"{file.path}: {twice[0]} is a second name for a part that is there; leave one of them out")
    images = tuple(_images(file, name) for _, name, _ in found)
    for (_, name, _), each in zip(found, images, strict=True):
        if each.shape[1:3] != images[0].shape[1:3]:
            raise DataError(f"{file.path}: {name} and {found[0][1]} have images of different sizes; scale them to one")
    labels = [_labels(file, name, of, len(each)) for (_, of, name), each in zip(found, images, strict=True)]
    names, places = _classes(file, np.concatenate(labels))
    counts = list(map(len, images))
    parts, notes = settled(
        file.path, np.repeat(np.array([part for part, *_ in found], np.uint8), counts), options.folds
    )
    require_all_classes(file.path, places, parts, names)
    called = tuple(f"{file.path}: {name}" for _, name, _ in found)
    source = ArrayImages(images, np.arange(len(places)), places, called, options.channels)
    listing = in_order(Listing(source.paths.tolist(), places, parts, names, notes), options.classes)
    source = replace(source, labels=listing.labels)
    listing, kept = without(listing, options.exclude, file.path.parent)
    source = source.take(kept)
    digests = [hashlib.sha256(source.read(np.array([row])).tobytes()).digest() for row in range(len(source))]
    return assemble(listing, source, digests, options)


def _images(file: "_Arrays", name: str) -> npt.NDArray[np.uint8]:
    """[N, H, W, 3], or [N, H, W, 1] of grey ones."""
    shape, kind = file.about(name)
    if kind != np.uint8 or len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)) or 0 in shape:
        raise DataError(
            f"{file.path}: {name} is {kind} {list(shape)}, and images are uint8 [N, height, width, 3], 0 to 255, or "
            "grey without the 3; of values from 0 to 1 save (255 * x).round().astype('uint8')"
        )
    return file.read(name).reshape(*shape[:3], -1)


def _labels(file: "_Arrays", name: str, images: str, count: int) -> npt.NDArray[Any]:
    """Whole numbers or text, [N]."""
    if name not in file.entries:
        raise DataError(f"{file.path}: has {images} and no {name}, which would be its labels")
    shape, kind = file.about(name)
    if kind.kind not in "iuU" or shape not in ((count,), (count, 1)):
        raise DataError(f"{file.path}: {name} is {kind} {list(shape)}, and labels are whole numbers or names, one for "
                        f"each of the {count:,} images in {images}")  # fmt: skip
    labels = file.read(name).reshape(-1)
    for label, place in zip(*np.unique(labels, return_index=True), strict=True):
        if is_no_label(str(label).strip()):
            raise DataError(f"{file.path}: {name}[{place}] is '{label}', {NO_LABEL}")
    return labels


def _classes(file: "_Arrays", labels: npt.NDArray[Any]) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
    """The names of the classes, and for each label its place among them."""
    if "class_names" not in file.entries:
        found, places = np.unique(labels, return_inverse=True)
        return tuple(map(str, found)), places.astype(np.int32)
    shape, kind = file.about("class_names")
    fit = labels.dtype.kind != "U" and 0 <= labels.min() <= labels.max() < math.prod(shape)
    if kind.kind != "U" or len(shape) != 1 or not fit:
        raise DataError(f"{file.path}: class_names is {kind} {list(shape)}; it must be text [K], and labels whole "
                        "numbers from 0 to K - 1")  # fmt: skip
    return tuple(map(str, file.read("class_names"))), labels.astype(np.int32)


class _Arrays:
    """The arrays of an open .npz file."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self.archive = path, archive
        self.entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}

    def about(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of an array, which can be what is there."""
        shape, _, kind, _ = self._header(name)
        return shape, kind

    def _header(self, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
        """(shape, whether the first axis is the fastest, type, bytes before the values)."""
        entry = self.entries[name]
        with self.archive.open(entry) as content:
            old = np.lib.format.read_magic(content) == (1, 0)
            read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
            shape, columns_first, kind = read(content)
            start = content.tell()
        if kind.hasobject:
            raise DataError(f"{self.path}: {name} holds Python objects, which are pickles and can run anything; save "
                            "it as an array of numbers or text")  # fmt: skip
        if math.prod(shape) * kind.itemsize != entry.file_size - start:
            raise DataError(f"{self.path}: {name} declares {kind} {list(shape)}, and has {entry.file_size - start:,} "
                            "bytes, which is not that; write it again with np.savez")  # fmt: skip
        return shape, columns_first, kind, start

    def read(self, name: str) -> npt.NDArray[Any]:
        """The values; those that are not compressed stay in the file until they are used."""
        entry, (shape, columns_first, kind, start) = self.entries[name], self._header(name)
        if entry.compress_type != zipfile.ZIP_STORED:
            if entry.file_size > _MOST_BYTES:
                raise DataError(f"{self.path}: {name} takes {entry.file_size / 2**30:,.0f} GB, and what is compressed "
                                "has to fit into 8; write it with np.savez, and it is read as needed")  # fmt: skip
            if entry.file_size > max(_MOST_UNPACKED * entry.compress_size, _ALWAYS_UNPACKED):
                raise DataError(f"{self.path}: {name} unpacks to {entry.file_size:,} bytes, over {_MOST_UNPACKED} "
                                "times its own, which pictures do not; if it is meant so, use np.savez")  # fmt: skip
            with self.archive.open(entry) as content:
                array = np.lib.format.read_array(content, allow_pickle=False)
                content.read(1)  # at the end of an entry, its checksum is compared
            return np.asarray(array)
        with self.archive.open(entry) as content:
            while content.read(2**20):
                pass
        with self.path.open("rb") as content:
            content.seek(entry.header_offset)
            lengths = struct.unpack("<26xHH", content.read(30))  # of the name and of what follows it
        offset = entry.header_offset + 30 + sum(lengths) + start
        return np.memmap(self.path, kind, "r", offset, shape, "F" if columns_first else "C")
