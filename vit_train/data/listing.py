"""What a folder or a table lists -> a data set of picture files, each of which has been read once."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vit_train.data.check import check_image_files
from vit_train.data.copies import TEST, TRAIN, VALIDATION, copy_notes
from vit_train.data.image_files import ImageFiles
from vit_train.data.images import Dataset
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
    paths, labels, parts, names = listing.paths, listing.labels, listing.parts, listing.class_names
    sums, digests = check_image_files(paths, side, max_pixels)
    if not (parts == TEST).any():
        parts = choose_test(labels, digests, names).astype(np.uint8)
    pictures = ImageFiles(np.array(paths, object), labels, sums, (side, side), max_pixels)
    train, test, validation = (pictures.take(np.flatnonzero(parts == part)) for part in (TRAIN, TEST, VALIDATION))
    return Dataset(
        name=name,
        train=train,
        test=test,
        class_names=names,
        notes=(*listing.notes, *copy_notes(paths, labels, parts, digests)),
        fingerprint=fingerprint(names, labels, parts, digests),
        validation=validation if len(validation) else None,
    )


def choose_test(labels: np.ndarray, digests: list[bytes], names: tuple[str, ...]) -> np.ndarray:
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


def fingerprint(names: tuple[str, ...], labels: np.ndarray, parts: np.ndarray, digests: list[bytes]) -> str:
    """Equal if a run on these pictures is the same run: same classes, contents, parts and order."""
    content = hashlib.sha256(repr(names).encode())
    for each in (labels.tobytes(), parts.tobytes(), *digests):
        content.update(each)
    return content.hexdigest()
