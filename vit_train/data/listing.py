"""What a folder or a table lists -> a data set of picture files, each of which has been read once."""

import hashlib
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vit_train.data.check import check_image_files
from vit_train.data.copies import TEST, TRAIN, VALIDATION, copy_notes
from vit_train.data.image_files import ImageFiles
from vit_train.data.images import Dataset, ImageSource
from vit_train.errors import DataError

# What the parts are called, the best name first; where there is no test set, the validation set is it.
PART_NAMES = {TRAIN: ("train", "training"), TEST: ("test", "testing"), VALIDATION: ("val", "valid", "validation")}


@dataclass(frozen=True, eq=False)
class Listing:
    """Picture files and what they show; the labels are places in `class_names`, the parts those of `data.copies`.

    If none is of the part TEST, a fifth of each class will be.
    """

    paths: list[str]  # of N files
    labels: npt.NDArray[np.int32]  # [N]
    parts: npt.NDArray[np.uint8]  # [N]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def read_listing(name: str, listing: Listing, side: int, max_pixels: int) -> Dataset:
    """The data set `name` of these files, scaled to `side` x `side`; raises DataError, naming a file that is bad."""
    paths, labels, names = listing.paths, listing.labels, listing.class_names
    sums, digests = check_image_files(paths, side, max_pixels)
    pictures = ImageFiles(np.array(paths, object), labels, sums, (side, side), max_pixels)
    return assemble(name, pictures, paths, listing.parts, digests, names, listing.notes)


def assemble(
    name: str,
    images: ImageSource,
    called: list[str],
    parts: npt.NDArray[np.uint8],
    digests: list[bytes],
    class_names: tuple[str, ...],
    notes: tuple[str, ...],
) -> Dataset:
    """The data set of `images`, each with its part, the digest of its content, and what it is called in notes."""
    labels = images.labels
    if not (parts == TEST).any():
        parts = _choose_test(labels, digests, class_names).astype(np.uint8)
    train, test, validation = (images.take(np.flatnonzero(parts == part)) for part in (TRAIN, TEST, VALIDATION))
    return Dataset(
        name=name,
        train=train,
        test=test,
        class_names=class_names,
        notes=(*notes, *copy_notes(called, labels, parts, digests)),
        fingerprint=_fingerprint(class_names, labels, parts, digests),
        validation=validation if len(validation) else None,
    )


def settled(file: Path, parts: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
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
        return parts, (f"note: {file}: has a part val, so that dataset.validation is of no effect",)
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


def _fingerprint(names: tuple[str, ...], labels: np.ndarray, parts: np.ndarray, digests: list[bytes]) -> str:
    """Equal if a run on these pictures is the same run: same classes, contents, parts and order."""
    content = hashlib.sha256(repr(names).encode())
    for each in (labels.tobytes(), parts.tobytes(), *digests):
        content.update(each)
    return content.hexdigest()
