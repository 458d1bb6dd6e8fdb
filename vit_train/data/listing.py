"""What a folder or a table lists -> a data set of pictures, each of which has been read once."""

import hashlib
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vit_train.config.dataset import DatasetConfig
from vit_train.data.check import check_images
from vit_train.data.copies import TEST, TRAIN, VALIDATION, copy_notes, group_notes
from vit_train.data.folds import distribute, together
from vit_train.data.image_files import ImageFiles
from vit_train.data.images import Dataset, ImageSource, Indices
from vit_train.data.packed import Packed, PackedImages
from vit_train.data.picture_cache import PictureCache
from vit_train.errors import DataError

# What the parts are called, the best name first; where there is no test set, the validation set is it.
PART_NAMES = {TRAIN: ("train", "training"), TEST: ("test", "testing"), VALIDATION: ("val", "valid", "validation")}
PART_OF = {name: part for part, names in PART_NAMES.items() for name in names}


@dataclass(frozen=True, eq=False)
class Listing:
    """Pictures and what they show; the labels are places in `class_names`, the parts those of `data.copies`.

    If none is of the part TEST, a fifth of each class will be.
    """

    paths: list[str]  # of N files or, of what is packed, as FILE: row 7
    labels: npt.NDArray[np.int32]  # [N]
    parts: npt.NDArray[np.uint8]  # [N]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    packed: Packed | None = None
    groups: list[str] | None = None  # [N], what must not be on two sides of a split, where the config names that

    def take(self, rows: Indices) -> "Listing":
        """The pictures at `rows`, in that order."""
        return replace(
            self,
            paths=[self.paths[row] for row in rows],
            labels=self.labels[rows],
            parts=self.parts[rows],
            packed=None if self.packed is None else self.packed.take(rows),
            groups=None if self.groups is None else [self.groups[row] for row in rows],
        )


def read_listing(listing: Listing, options: DatasetConfig, side: int) -> Dataset:
    """The data set of these pictures, fitted to `side` x `side`; raises DataError, naming one that is bad.

    With dataset.cache their files' pixels are kept on the disk; those of what is packed are not.
    """
    max_pixels, fitting = options.max_pixels, options.fitting
    paths, labels, packed = listing.paths, listing.labels, listing.packed
    called, size = np.array(paths, object), (side, side)
    none = np.zeros((len(paths), 2, fitting.channels), np.int64)
    pictures: ImageFiles | PackedImages
    if packed is None:
        kept = PictureCache(int(options.cache * 1e9)) if options.cache else None
        pictures = ImageFiles(called, labels, none, size, max_pixels, fitting, kept)
    else:
        pictures = PackedImages(packed, called, labels, none, size, max_pixels, fitting)
    sums, digests = check_images(paths, pictures.look)
    pictures = replace(pictures, sums=sums)
    return assemble(listing, pictures, digests, options)


def assemble(listing: Listing, images: ImageSource, digests: list[bytes], options: DatasetConfig) -> Dataset:
    """The data set of the `images` of a listing; `digests` are those of their contents.

    With dataset.folds, what is of the part VALIDATION is of TRAIN.
    """
    labels, parts, class_names, groups = listing.labels, listing.parts, listing.class_names, listing.groups
    if options.folds is not None:
        parts = np.where(parts == VALIDATION, TRAIN, parts).astype(np.uint8)
    linked = together(groups, digests) if groups is not None or options.folds is not None else None
    if not (parts == TEST).any():
        if groups is None or linked is None:
            parts = _choose_test(labels, digests, class_names).astype(np.uint8)
        else:
            parts = _choose_test_groups(labels, digests, linked, class_names)
    notes = [*listing.notes, *copy_notes(listing.paths, labels, parts, digests, split_by_content=linked is not None)]
    if groups is not None:
        notes += group_notes(groups, parts)
    train, test, validation = (images.take(np.flatnonzero(parts == part)) for part in (TRAIN, TEST, VALIDATION))
    return Dataset(
        name=options.name,
        train=train,
        test=test,
        class_names=class_names,
        notes=tuple(notes),
        fingerprint=_fingerprint(class_names, labels, parts, digests, groups),
        validation=validation if len(validation) else None,
        groups=None if linked is None else linked[parts == TRAIN],
    )


def settled(
    file: Path, parts: npt.NDArray[np.uint8], folds: int | None
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """The parts with validation as the test set if there is none, and what a user should know of that."""
    there = set(parts.tolist())
    if TRAIN not in there:
        raise DataError(f"{file}: has no part train; name the images to learn from so")
    if there == {TRAIN, VALIDATION}:
        return np.where(parts == VALIDATION, TEST, parts).astype(np.uint8), (
            f"note: {file}: has no part test, so val is the test set",
        )
    if TEST not in there:
        return parts, (f"note: {file}: has no part test, so a fifth of each class is it",)
    if VALIDATION in there:
        effect = "so that dataset.validation is of no effect" if folds is None else "which is in the folds"
        return parts, (f"note: {file}: has a part val, {effect}",)
    return parts, ()


def require_all_classes(file: Path, labels: np.ndarray, parts: np.ndarray, names: tuple[str, ...]) -> None:
    """Raises DataError unless there are two classes, and each is in every part that there is."""
    if len(names) < 2:
        raise DataError(f"{file}: has one class only, '{names[0]}'; two or more are needed; are these the labels?")
    for part in np.unique(parts):
        counts = np.bincount(labels[parts == part], minlength=len(names))
        if missing := list(compress(names, counts == 0)):
            raise DataError(f"{file}: the part {PART_NAMES[part][0]} lacks {len(missing):,} of the classes, such as "
                            f"'{missing[0]}'; every part needs all of them")  # fmt: skip


def _choose_test(labels: np.ndarray, digests: list[bytes], names: tuple[str, ...]) -> np.ndarray:
    """bool [N]: a fifth of the contents of every class, those of smallest sha256.

    So the test set is the same for every seed and however files are named, a new picture moves few others in or out,
    and copies of a picture stay on one side.
    """
    chosen: set[tuple[int, bytes]] = set()
    for label, name in enumerate(names):
        contents = sorted({digests[row] for row in np.flatnonzero(labels == label)})
        if len(contents) < 2:
            raise DataError(f"class '{name}' has one picture only, and a fifth of each class is held out for the test; "
                            "add pictures")  # fmt: skip
        chosen.update((label, digest) for digest in contents[: max(1, round(len(contents) / 5))])
    return np.array([row in chosen for row in zip(labels.tolist(), digests, strict=True)])


def _choose_test_groups(
    labels: np.ndarray, digests: list[bytes], groups: np.ndarray, names: tuple[str, ...]
) -> npt.NDArray[np.uint8]:
    """The parts [N], where about a fifth of every class, in whole groups, is TEST: by contents too, as above."""
    order = np.empty(len(labels), np.int64)
    order[sorted(range(len(labels)), key=digests.__getitem__)] = np.arange(len(labels))
    parts = np.where(distribute(labels, groups, [4, 1], order) == 1, TEST, TRAIN).astype(np.uint8)
    for part in (TRAIN, TEST):
        if missing := np.flatnonzero(np.bincount(labels[parts == part], minlength=len(names)) == 0).tolist():
            raise DataError(f"class '{names[missing[0]]}' is in too few groups of dataset.group, of which a fifth is "
                            "held out for the test; add pictures of others")  # fmt: skip
    return parts


def _fingerprint(
    names: tuple[str, ...], labels: np.ndarray, parts: np.ndarray, digests: list[bytes], groups: list[str] | None
) -> str:
    """Equal if a run on these pictures is the same run: same classes, contents, parts, groups and order."""
    content = hashlib.sha256(repr(names).encode())
    for each in (labels.tobytes(), parts.tobytes(), *digests):
        content.update(each)
    if groups is not None:
        content.update(repr(groups).encode())
    return content.hexdigest()
