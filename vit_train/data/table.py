"""Pictures that a table lists or holds: a path or a picture, a label and maybe a part in every row."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vit_train.config.dataset import DatasetConfig
from vit_train.data.arrow import SUFFIXES, read_arrow
from vit_train.data.classes import in_order
from vit_train.data.columns import NO_LABEL, Columns, is_no_label, read_columns
from vit_train.data.copies import TRAIN
from vit_train.data.exclude import without
from vit_train.data.images import Dataset
from vit_train.data.listing import PART_OF, Listing, read_listing, require_all_classes, settled
from vit_train.data.packed import Packed, Stores
from vit_train.data.roots import expanded
from vit_train.data.shards import find_shards, find_tables
from vit_train.errors import DataError


def load_table(root: str, config: DatasetConfig, side: int) -> Dataset:
    """The pictures that the CSV or parquet file `root` lists or holds, or those in the files of dataset=hf.

    For dataset=table it may be a folder, too, with a CSV file for each part, such as train.csv.

    Of the columns, one has the paths, relative to the file, or the pictures themselves, one the labels, and one may say
    train, test or val of each row. Without such a column, or a row of a part, it is as for folders. Labels follow the
    order that a file of `datasets` tells, else their alphabetical order or, if all are whole numbers, these. Pictures
    are fitted to `side` x `side`. Raises DataError with the number of a row that cannot be used, before any picture is
    read.
    """
    path = expanded(root)
    if config.name == "hf":
        shards, notes = find_shards(path)
    else:
        shards, notes = find_tables(path) if path.is_dir() else [(path, None)], ()
    names = {"path": config.path_column, "label": config.label_column, "split": config.split_column}
    names |= {} if config.group is None else {"group": config.group}
    told = [part if config.split_column is None else None for _, part in shards]
    with Stores() as stores:
        tables = [
            read_arrow(file, names, stores) if file.suffix in SUFFIXES else read_columns(file, names)
            for file, _ in shards
        ]
        listing = _list(path, tables, told, notes, stores.all(), config.folds)
    listing = in_order(listing, config.classes)
    listing, _ = without(listing, config.exclude, path if path.is_dir() else path.parent)
    return read_listing(listing, config, side)


def _list(
    root: Path,
    tables: Sequence[Columns],
    told: Sequence[int | None],
    notes: tuple[str, ...],
    stores: tuple[npt.NDArray[np.uint8], ...],
    folds: int | None,
) -> Listing:
    """What the tables say, once all of it makes sense; `told` are the parts that the names of their files tell."""
    for table in tables[1:]:
        if (table.places is None, table.class_names) != (tables[0].places is None, tables[0].class_names):
            raise DataError(f"{table.file}: has other classes, or pictures in another form, than {tables[0].file}; "
                            "write them as one data set")  # fmt: skip
    shown = [label for table in tables for label in _labels(table)]
    if not shown:
        after = "" if tables[0].file.suffix in SUFFIXES else " after the first, which names the columns"
        raise DataError(f"{root}: has no rows{after}; add one for each picture")
    paths = [path for table in tables for path in _paths(table)]
    names = tables[0].class_names or _names(set(shown))
    place_of = {name: place for place, name in enumerate(names)}
    labels = np.array([place_of[label] for label in shown], np.int32)
    parts, more = settled(root, np.concatenate([_parts(*each) for each in zip(tables, told, strict=True)]), folds)
    require_all_classes(root, labels, parts, names)
    places = [table.places for table in tables if table.places is not None]
    packed = Packed(stores, np.concatenate(places)) if places else None
    groups = [group for table in tables for group in _groups(table)] if "group" in tables[0].cells else None
    return Listing(paths, labels, parts, names, (*notes, *more), packed, groups)


def _labels(table: Columns) -> list[str]:
    shown = table.cells["label"]
    bad = set(filter(is_no_label, set(shown)))
    table.require([label not in bad for label in shown], lambda place: f"its label '{shown[place]}' is {NO_LABEL}")
    return shown


def _groups(table: Columns) -> list[str]:
    groups = table.cells["group"]
    table.require(list(map(bool, groups)), lambda _: "has no group; every picture needs one, if only of its own")
    return groups


def _names(labels: set[str]) -> tuple[str, ...]:
    whole = all(re.fullmatch(r"-?[0-9]+", label) for label in labels)
    return tuple(sorted(sorted(labels), key=int) if whole else sorted(labels))


def _paths(table: Columns) -> list[str]:
    """The files, which are there, in the table's folder or below, and no two of them the same; or names of rows."""
    if table.places is not None:
        return [f"{table.file}: row {row}" for row in table.rows]
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


def _parts(table: Columns, told: int | None) -> npt.NDArray[np.uint8]:
    """The part of each row."""
    if told is not None or "split" not in table.cells:
        return np.full(len(table.rows), TRAIN if told is None else told, np.uint8)
    words = [word.lower() for word in table.cells["split"]]
    table.require(
        [word in PART_OF for word in words],
        lambda place: f"'{words[place]}' is no part; it must be one of {', '.join(PART_OF)}",
    )
    return np.array([PART_OF[word] for word in words], np.uint8)
