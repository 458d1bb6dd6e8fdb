"""One's own pictures: a folder for each class -> a data set of files, each of which has been read once."""

import hashlib
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vit_train.data.check import check_image_files
from vit_train.data.copies import copy_notes
from vit_train.data.image_files import MAX_PIXELS, ImageFiles
from vit_train.data.images import Dataset
from vit_train.data.roots import expanded
from vit_train.errors import DataError
from vit_train.text import is_utf8

SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff".split())
CLUTTER = frozenset(("thumbs.db", "desktop.ini", "__macosx", "@eadir"))  # besides hidden files
LAYOUT = "dataset.root must hold train/CLASS/* and test/CLASS/*, or CLASS/*"

# What the parts are called, the best name first; where there is no test set, the validation set is it.
_PARTS = {"train": ("train", "training"), "test": ("test", "testing", "val", "valid", "validation")}

Classes = dict[str, list[str]]  # class name -> paths of its pictures


def load_folder(root: str, side: int, max_pixels: int = MAX_PIXELS) -> Dataset:
    """Reads ROOT/train/CLASS/* and ROOT/test/CLASS/*, or ROOT/CLASS/*; pictures are scaled to `side` x `side`.

    Parts may have other usual names (training, testing, and val where there is no test), and folders with nothing but
    one folder may be around it all.

    Without a test part, a fifth of every class is it. Labels follow the alphabetical order of the classes' names.

    Raises DataError, naming what to fix, if a file or folder cannot be used; nothing on the disk is changed.
    """
    try:
        return _load(expanded(root), side, max_pixels)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}); fix that; {LAYOUT}") from error


def _load(root: Path, side: int, max_pixels: int) -> Dataset:
    if root.is_file():
        raise DataError(f"{root}: is a file and no folder; unpack it if it is an archive; {LAYOUT}")
    left_out: list[str] = []
    inside = _unwrapped(root)
    parts, notes = _parts(inside, left_out)
    if inside != root:
        notes = (f"note: the pictures are read from {inside}, the only folder in {root}", *notes)
    names = tuple(parts["train"])
    rows = [
        (path, label, part == "test")
        for part, classes in parts.items()
        for label, name in enumerate(names)
        for path in classes[name]
    ]
    paths = [path for path, _, _ in rows]
    labels = np.array([label for _, label, _ in rows], np.int32)
    sums, digests = check_image_files(paths, side, max_pixels)
    in_test = np.array([test for _, _, test in rows])
    if "test" not in parts:
        in_test = _choose_test(labels, digests, names)
    pictures = ImageFiles(np.array(paths, object), labels, sums, (side, side), max_pixels)
    return Dataset(
        name="folder",
        train=pictures.take(np.flatnonzero(~in_test)),
        test=pictures.take(np.flatnonzero(in_test)),
        class_names=names,
        notes=(*notes, *_left_out_note(left_out), *copy_notes(paths, labels, in_test, digests)),
        fingerprint=_fingerprint(names, labels, in_test, digests),
    )


def _unwrapped(root: Path) -> Path:
    """The folder inside folders that hold nothing but one folder, as archives often do; `root` if it is none."""
    while True:
        entries = _entries(root)
        if (
            len(entries) != 1
            or not entries[0].is_dir()
            or not any(entry.is_dir() for entry in _entries(entries[0].path))
        ):
            return root
        root = Path(entries[0].path)


def _parts(root: Path, left_out: list[str]) -> tuple[dict[str, Classes], tuple[str, ...]]:
    """The pictures of "train" and "test", or all as "train", and notes; what is of no use is added to `left_out`."""
    entries = {entry.name: entry for entry in _entries(root) if entry.is_dir()}
    names = {part: _first(entries, _PARTS[part]) for part in _PARTS}
    if None in names.values():
        return {"train": _classes(root, left_out)}, ()
    folders = {part: root / str(name) for part, name in names.items()}
    left_out += [entry.path for name, entry in entries.items() if name not in names.values()]
    parts = {part: _classes(folder, left_out) for part, folder in folders.items()}
    for part, other in (("train", "test"), ("test", "train")):
        if missing := sorted(parts[part].keys() - parts[other].keys()):
            raise DataError(
                f"{folders[other]}: lacks {len(missing):,} of the classes in {folders[part]}, such as '{missing[0]}'; "
                "both need the same"
            )
    if str(names["test"]).lower() in _PARTS["test"][:2]:
        return parts, ()
    return parts, (f"note: there is no folder test in {root}, so {folders['test']} is the test set",)


def _first(entries: dict[str, os.DirEntry[str]], wanted: tuple[str, ...]) -> str | None:
    """The folder whose name, in upper or lower case, comes first in `wanted`; None if there is none."""
    found = {name.lower(): name for name in entries}
    return next((found[name] for name in wanted if name in found), None)


def _classes(folder: Path, left_out: list[str]) -> Classes:
    classes: Classes = {}
    for entry in _entries(folder):
        if not entry.is_dir():
            left_out.append(entry.path)
            continue
        name = _class_name(entry)
        if name in classes:
            raise DataError(f"{entry.path}: is the same name, written in another way in Unicode, as that of a folder "
                            "beside it; put their pictures into one")  # fmt: skip
        classes[name] = _pictures(entry.path, left_out)
    if len(classes) < 2:
        found = f"one class folder, '{next(iter(classes))}'" if classes else "no class folder"
        raise DataError(f"{folder}: has {found}; two or more are needed: {LAYOUT}")
    return dict(sorted(classes.items()))


def _class_name(entry: os.DirEntry[str]) -> str:
    if not is_utf8(entry.name):
        raise DataError(f"{entry.path!a}: its name is not UTF-8; rename the folder")
    return unicodedata.normalize("NFC", entry.name)  # some systems store é as e and an accent


def _pictures(folder: str, left_out: list[str]) -> list[str]:
    pictures: list[str] = []
    for entry in _entries(folder):
        if entry.is_dir():
            raise DataError(f"{entry.path}: is a folder where only pictures belong; {LAYOUT}")
        (pictures if Path(entry.name).suffix.lower() in SUFFIXES else left_out).append(entry.path)
    if not pictures:
        raise DataError(f"{folder}: has no JPEG, PNG, WebP, BMP, GIF or TIFF file; add pictures or remove the folder")
    return pictures


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        kept = [entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in CLUTTER]
    return sorted(kept, key=lambda entry: entry.name)


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


def _left_out_note(left_out: list[str]) -> Iterator[str]:
    if left_out:
        yield (
            f"note: files or folders left out: {len(left_out):,}, such as {left_out[0]}; only JPEG, PNG, WebP, BMP and "
            "GIF files in class folders are used"
        )


def _fingerprint(names: tuple[str, ...], labels: np.ndarray, in_test: np.ndarray, digests: list[bytes]) -> str:
    """Equal if a run on these pictures is the same run: same classes, contents, parts and order."""
    content = hashlib.sha256(repr(names).encode())
    for part in (labels.tobytes(), in_test.tobytes(), *digests):
        content.update(part)
    return content.hexdigest()
