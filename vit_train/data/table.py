"""Pictures that a table lists: a path, a label and maybe a part in every row."""

import os
import re

import numpy as np
import numpy.typing as npt

from vit_train.config.schema import DatasetConfig
from vit_train.data.columns import Columns, read_columns
from vit_train.data.copies import TRAIN
from vit_train.data.exclude import without
from vit_train.data.images import Dataset
from vit_train.data.listing import PART_NAMES, Listing, read_listing, require_all_classes, settled
from vit_train.data.roots import expanded
from vit_train.errors import DataError

_PARTS = {name: part for part, names in PART_NAMES.items() for name in names}
_NO_NAME = re.compile(r"[+-]?(\d+\.\d*|\.\d+)(e[+-]?\d+)?|[+-]?nan", re.IGNORECASE)


def load_table(root: str, config: DatasetConfig, side: int) -> Dataset:
    """The pictures that the CSV file `root` lists, with paths relative to it, scaled to `side` x `side`.

    Of its columns, one has the paths, one the labels, and one may say train, test or val of each row. Without such a
    column, or a row of a part, it is as for folders. Labels follow their alphabetical order or, if all are whole
    numbers, these. Raises DataError with the number of a row that cannot be used, before any picture is read.
    """
    file = expanded(root)
    names = {"path": config.path_column, "label": config.label_column, "split": config.split_column}
    listing = without(_list(read_columns(file, names)), config.exclude, file.parent)
    return read_listing("table", listing, side, config.max_pixels)


def _list(table: Columns) -> Listing:
    """What the table says, once all of it makes sense."""
    shown = table.cells["label"]
    if not shown:
        raise DataError(f"{table.file}: has no rows after the first, which names the columns; add one for each picture")
    bad = {label for label in set(shown) if not label or _NO_NAME.fullmatch(label)}
    table.require(
        [label not in bad for label in shown],
        lambda place: (
            f"its label '{shown[place]}' is empty or a number with a point; labels are names or whole numbers"
        ),
    )
    paths = _paths(table)
    names = _names(set(shown))
    place_of = {name: place for place, name in enumerate(names)}
    labels = np.array([place_of[label] for label in shown], np.int32)
    parts, notes = _parts(table)
    require_all_classes(table.file, labels, parts, names)
    return Listing(paths, labels, parts, names, notes)


def _names(labels: set[str]) -> tuple[str, ...]:
    whole = all(re.fullmatch(r"-?[0-9]+", label) for label in labels)
    return tuple(sorted(sorted(labels), key=int) if whole else sorted(labels))


def _paths(table: Columns) -> list[str]:
    """The files, which are there, in the table's folder or below, and no two of them the same."""
    given = table.cells["path"]
    folder = os.path.abspath(table.file.parent)  # noqa: PTH100, these are ten times as fast as Path
    paths = [os.path.normpath(os.path.join(folder, path)) for path in given]  # noqa: PTH118
    table.require(list(map(bool, given)), lambda _: "has no path; name the picture's file")
    inside = folder.rstrip("/") + "/"
    table.require(
        [path.startswith(inside) for path in paths],
        lambda place: (
            f"{given[place]} is outside of {folder}; paths are relative to the table, so put it beside "
            "the pictures or above them"
        ),
    )
    if len(set(paths)) < len(paths):
        first: dict[str, int] = {}
        firsts = [first.setdefault(path, place) for place, path in enumerate(paths)]
        table.require(
            [each == place for place, each in enumerate(firsts)],
            lambda place: f"{given[place]} is in row {table.rows[firsts[place]]:,}, too; remove one of them",
        )
    table.require(
        list(map(os.path.exists, paths)),
        lambda place: f"there is no file {paths[place]}; paths are relative to the table",
    )
    return paths


def _parts(table: Columns) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """The part of each row, and notes."""
    if "split" not in table.cells:
        return settled(table.file, np.full(len(table.rows), TRAIN, np.uint8))
    words = [word.lower() for word in table.cells["split"]]
    table.require(
        [word in _PARTS for word in words],
        lambda place: f"'{words[place]}' is no part; it must be one of {', '.join(_PARTS)}",
    )
    return settled(table.file, np.array([_PARTS[word] for word in words], np.uint8))
