"""One's own pictures: a folder for each class -> a data set of files, each of which has been read once."""

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from vit_train.config.dataset import DatasetConfig
from vit_train.data.classes import in_order
from vit_train.data.copies import TEST, TRAIN, VALIDATION
from vit_train.data.exclude import without
from vit_train.data.image_files import KINDS
from vit_train.data.images import Dataset
from vit_train.data.listing import PART_NAMES, Listing, read_listing
from vit_train.data.roots import expanded
from vit_train.errors import DataError
from vit_train.text import is_utf8

SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .avif .heic .heif".split())
CLUTTER = frozenset(("thumbs.db", "desktop.ini", "__macosx", "@eadir"))  # besides hidden files
LAYOUT = "dataset.root must hold train/CLASS/* and test/CLASS/*, or CLASS/*"

Classes = dict[str, list[str]]  # class name -> paths of its pictures


def load_folder(root: str, options: DatasetConfig, side: int) -> Dataset:
    """Reads ROOT/train/CLASS/* and ROOT/test/CLASS/*, or ROOT/CLASS/*; pictures are fitted to `side` x `side`.

    Parts may have other usual names, as training and testing, and val may be one more; where there is no test part, val
    is it, or else a fifth of every class. Folders that hold one folder only may be around it all, around the classes of
    a part, and around the pictures of a class. Labels follow the alphabetical order of the classes' names. Pictures
    that dataset.exclude names are left out; dataset.group is searched in the path of each from the root.

    Raises DataError, naming what to fix, if a file or folder cannot be used; nothing on the disk is changed.
    """
    try:
        listing = in_order(_list(expanded(root), options.folds), options.classes)
        listing, _ = without(listing, options.exclude, expanded(root))
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}); fix that; {LAYOUT}") from error
    if options.group is not None:
        listing = replace(listing, groups=_groups(listing.paths, options.group, expanded(root)))
    return read_listing(listing, options, side)


def _groups(paths: list[str], expression: str, root: Path) -> list[str]:
    """What the expression, or its first group, matches in each path; raises DataError for a path without a match."""
    pattern = re.compile(expression)
    found = [pattern.search(Path(path).relative_to(root).as_posix()) for path in paths]
    groups = [match and match[min(1, pattern.groups)] for match in found]
    if bad := [path for path, group in zip(paths, groups, strict=True) if not group]:
        raise DataError(f"{bad[0]}: has no match of dataset.group={expression} in its path from {root}, nor have "
                        f"{len(bad) - 1:,} others; every picture needs a group")  # fmt: skip
    return [group for group in groups if group]


def _list(root: Path, folds: int | None) -> Listing:
    if root.is_file():
        raise DataError(f"{root}: is a file and no folder; unpack it if it is an archive; {LAYOUT}")
    left_out: list[str] = []
    inside = _unwrapped(root, left_out)
    classes, notes = _parts(inside, left_out, folds)
    if inside != root:
        notes = (f"note: the pictures are read from {inside}, the only folder in {root}", *notes)
    names = tuple(classes[TRAIN])
    rows = [
        (path, label, part)
        for part, pictures in classes.items()
        for label, name in enumerate(names)
        for path in pictures[name]
    ]
    return Listing(
        paths=[path for path, _, _ in rows],
        labels=np.array([label for _, label, _ in rows], np.int32),
        parts=np.array([part for _, _, part in rows], np.uint8),
        class_names=names,
        notes=(*notes, *_left_out_note(left_out)),
    )


def _unwrapped(folder: Path, left_out: list[str]) -> Path:
    """The folder inside folders that hold one folder and no picture, as archives often do; `folder` if it is none."""
    while True:
        entries = _entries(folder)
        folders = [entry for entry in entries if entry.is_dir()]
        if len(folders) != 1 or not _holds_folders(folders[0].path) or any(map(_is_picture, entries)):
            return folder
        left_out += [entry.path for entry in entries if not entry.is_dir()]
        folder = Path(folders[0].path)


def _parts(root: Path, left_out: list[str], folds: int | None) -> tuple[dict[int, Classes], tuple[str, ...]]:
    """The pictures of each part, or all as TRAIN, and notes; what is of no use is added to `left_out`."""
    entries = {entry.name: entry for entry in _entries(root) if entry.is_dir()}
    folders = {part: root / name for part, names in PART_NAMES.items() if (name := _only(entries, names, root))}
    if TRAIN not in folders or (len(folders) == 1 and not _holds_folders(folders[TRAIN])):
        return {TRAIN: _classes(root, left_out)}, ()
    # Such as the pictures of a contest, whose classes are not told.
    folders = {part: folder for part, folder in folders.items() if part == TRAIN or not _has_no_classes(folder)}
    left_out += [entry.path for name, entry in entries.items() if root / name not in folders.values()]
    notes: tuple[str, ...] = ()
    if TEST not in folders and VALIDATION in folders:
        folders[TEST] = folders.pop(VALIDATION)
        notes = (f"note: there is no folder test in {root}, so {folders[TEST]} is the test set",)
    elif TEST not in folders:
        notes = (f"note: there is no test set in {root}, so a fifth of each class in {folders[TRAIN]} is it",)
    elif VALIDATION in folders:
        effect = (
            "is the validation set, so that dataset.validation is of no effect" if folds is None else "is in the folds"
        )
        notes = (f"note: {folders[VALIDATION]} {effect}",)
    parts = {part: _classes(_unwrapped(folder, left_out), left_out) for part, folder in folders.items()}
    for part, other in ((TRAIN, TEST), (TEST, TRAIN), (TRAIN, VALIDATION), (VALIDATION, TRAIN)):
        if missing := sorted(parts.get(part, {}).keys() - parts.get(other, parts[TRAIN]).keys()):
            raise DataError(
                f"{folders[other]}: lacks {len(missing):,} of the classes in {folders[part]}, such as '{missing[0]}'; "
                "both need the same"
            )
    return parts, notes


def _holds_folders(folder: Path | str) -> bool:
    """Whether there are folders in it, and no picture."""
    entries = _entries(folder)
    return any(entry.is_dir() for entry in entries) and not any(map(_is_picture, entries))


def _has_no_classes(folder: Path) -> bool:
    """Whether there are pictures in it, and no folder."""
    entries = _entries(folder)
    return any(map(_is_picture, entries)) and not any(entry.is_dir() for entry in entries)


def _is_picture(entry: os.DirEntry[str]) -> bool:
    return Path(entry.name).suffix.lower() in SUFFIXES and not entry.is_dir()


def _only(entries: dict[str, os.DirEntry[str]], wanted: tuple[str, ...], root: Path) -> str | None:
    """The folder that has one of the `wanted` names, in upper or lower case; None if there is none."""
    found = [name for name in entries if name.lower() in wanted]
    if len(found) > 1:
        raise DataError(f"{root}: has both {found[0]} and {found[1]}, which are names of one part; put their pictures "
                        "into one, or move the other away")  # fmt: skip
    return found[0] if found else None


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
        if others := [entry.name for entry in _entries(folder) if not entry.is_dir()]:
            found += f", and {len(others):,} {'file' if len(others) == 1 else 'files'}, such as {others[0]}"
        raise DataError(f"{folder}: has {found}; two or more class folders are needed: {LAYOUT}")
    return dict(sorted(classes.items()))


def _class_name(entry: os.DirEntry[str]) -> str:
    if not is_utf8(entry.name):
        raise DataError(f"{entry.path!a}: its name is not UTF-8; rename the folder")
    return unicodedata.normalize("NFC", entry.name)  # some systems store é as e and an accent


def _pictures(folder: str, left_out: list[str]) -> list[str]:
    entries = _entries(folder)
    pictures = [entry.path for entry in entries if _is_picture(entry)]
    folders = [entry for entry in entries if entry.is_dir()]
    if folders and pictures:
        raise DataError(f"{folders[0].path}: is a folder where only pictures belong; {LAYOUT}")
    if len(folders) > 1:
        raise DataError(
            f"{folder}: has {len(folders):,} folders and no picture, such as {folders[0].name} and {folders[1].name}; "
            "if they are classes, put them beside the others, or else their pictures into this folder"
        )
    left_out += [entry.path for entry in entries if not entry.is_dir() and not _is_picture(entry)]
    if folders:  # as CLASS/images/*
        return _pictures(folders[0].path, left_out)
    if not pictures:
        raise DataError(f"{folder}: has no {KINDS} file; add pictures or remove the folder")
    return pictures


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        kept = [entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in CLUTTER]
    return sorted(kept, key=lambda entry: entry.name)


def _left_out_note(left_out: list[str]) -> Iterator[str]:
    if left_out:
        yield (
            f"note: files or folders left out: {len(left_out):,}, such as {left_out[0]}; only {KINDS} files "
            "in class folders are used"
        )
