"""What a folder or a table lists -> a data set of pictures, each of which has been read once."""

import hashlib
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vit_train.config.schema import Fit
from vit_train.data.check import BadFiles, check_images
from vit_train.data.copies import TEST, TRAIN, VALIDATION, copy_notes
from vit_train.data.image_files import ImageFiles
from vit_train.data.images import Dataset, ImageSource
from vit_train.data.packed import Packed, PackedImages
from vit_train.errors import DataError

# What the parts are called, the best name first; where there is no test set, the validation set is it.
PART_NAMES = {TRAIN: ("train", "training"), TEST: ("test", "testing"), VALIDATION: ("val", "valid", "validation")}
PART_OF = {name: part for part, names in PART_NAMES.items() for name in names}


@dataclass(frozen=True, eq=False)
class Listing:
    """Pictures and what they show; the labels are places in `class_names`, the parts those of `data.copies`.

    If none is of the part TEST, a fifth of each class will be.
    """

    paths: list[str]  # of N files or, of what is packed, what a user is told in their place
    labels: npt.NDArray[np.int32]  # [N]
    parts: npt.NDArray[np.uint8]  # [N]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    packed: Packed | None = None


def read_listing(name: str, listing: Listing, side: int, max_pixels: int, fit: Fit) -> Dataset:
    """The data set `name` of these pictures, fitted to `side` x `side`; raises DataError, naming one that is bad."""
    paths, labels, packed = listing.paths, listing.labels, listing.packed
    called, size = np.array(paths, object), (side, side)
    none = np.zeros((len(paths), 2, 3), np.int64)
    pictures: ImageFiles | PackedImages
    if packed is None:
        pictures = ImageFiles(called, labels, none, size, max_pixels, fit)
    else:
        pictures = PackedImages(packed, called, labels, none, size, max_pixels, fit)
    try:
        sums, digests = check_images(paths, pictures.look)
    except BadFiles as error:
        if packed is None:
            raise
        raise DataError(str(error)) from None  # vit-runs check would leave out files
    pictures = replace(pictures, sums=sums)
    return assemble(name, pictures, paths, listing.parts, digests, listing.class_names, listing.notes)


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
