"""Pictures that a table lists: a path, a label and maybe a part in every row."""

import csv
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vit_train.config.convert import nearest
from vit_train.config.schema import DatasetConfig
from vit_train.data.copies import TRAIN
from vit_train.data.images import Dataset
from vit_train.data.listing import PART_NAMES, Listing, read_listing, require_all_classes, settled
from vit_train.data.roots import expanded
from vit_train.errors import DataError
from vit_train.files import read_regular
from vit_train.text import one_line, some

_MOST_BYTES = 2**31  # of a table: some ten million rows
# What the columns are called where the config does not say.
_USUAL = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img"),
    "label": ("label", "labels", "class", "class_name", "category"),
    "split": ("split", "part", "set", "subset"),
}
_PARTS = {name: part for part, names in PART_NAMES.items() for name in names}
_NO_NAME = re.compile(r"[+-]?(\d+\.\d*|\.\d+)(e[+-]?\d+)?|[+-]?nan", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Table:
    """The columns of a table that matter, as text; `rows` has the number by which a user knows each row."""

    file: Path
    rows: Sequence[int]
    paths: list[str]
    labels: list[str]
    splits: list[str] | None

    def require(self, good: Sequence[bool], problem: Callable[[int], str]) -> None:
        """Raises DataError if not all rows are `good`, with the `problem` of the first bad one, given its place."""
        if all(good):
            return
        bad = [place for place, fine in enumerate(good) if not fine]
        others = f" (and in {len(bad) - 1:,} more, such as {some([f'{self.rows[each]:,}' for each in bad[1:]], 3)})"
        raise DataError(f"{self.file}: row {self.rows[bad[0]]:,}: {problem(bad[0])}{others if len(bad) > 1 else ''}")


def load_table(root: str, config: DatasetConfig, side: int) -> Dataset:
    """The pictures that the CSV file `root` lists, with paths relative to it, scaled to `side` x `side`.

    Of its columns, one has the paths, one the labels, and one may say train, test or val of each row. Without such a
    column, or a row of a part, it is as for folders. Labels follow their alphabetical order or, if all are whole
    numbers, these. Raises DataError with the number of a row that cannot be used, before any picture is read.
    """
    return read_listing("table", _list(_read_csv(expanded(root), config)), side, config.max_pixels)


def _read_csv(file: Path, config: DatasetConfig) -> Table:
    text = _text(file)
    delimiter = max(",;\t", key=lambda each: len(_header(file, text, each)))
    header = _header(file, text, delimiter)
    columns = [place for place in _columns(file, header, config) if place is not None]
    reader, rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), list[int]()
    found = [list[str]() for _ in columns]  # by column: a list for each of a million rows takes twice the time
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if number == 1 or not cells:
                continue
            if len(cells) != len(header):
                raise DataError(f"{file}: row {number:,}: has {len(cells)} cells, and the first row {len(header)}; put "
                                "quotes around a cell with a delimiter in it")  # fmt: skip
            rows.append(number)
            for column, place in zip(found, columns, strict=True):
                column.append(cells[place].strip())
    except csv.Error as error:
        raise DataError(f"{file}: row {number + 1:,}: cannot be read ({error}); are its quotes closed?") from error
    if not rows:
        raise DataError(f"{file}: has no rows after the first, which names the columns; add one for each picture")
    paths, labels, *splits = found
    return Table(file, rows, paths, labels, splits[0] if splits else None)


def _text(file: Path) -> str:
    try:
        data = read_regular(file, _MOST_BYTES)
    except IsADirectoryError:
        raise DataError(f"{file}: is a folder, and dataset=table takes a file; set dataset.root to that, or use "
                        "dataset=folder") from None  # fmt: skip
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); fix that, or set dataset.root") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}: is not UTF-8 (the byte {data[error.start]:#04x} in line {line:,}); save it as that, "
                        "which Excel calls CSV UTF-8") from None  # fmt: skip
    if "\0" in text:
        raise DataError(f"{file}: is no text, it has bytes of zero; save it as CSV in UTF-8")
    return text


def _header(file: Path, text: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])]
    except csv.Error as error:
        raise DataError(f"{file}: row 1: cannot be read ({error}); it names the columns") from error


def _columns(file: Path, header: list[str], config: DatasetConfig) -> list[int | None]:
    """Where the columns with paths, labels and parts are; None of the last if there is none."""
    wanted = {"path": config.path_column, "label": config.label_column, "split": config.split_column}
    return [_column(file, header, kind, name) for kind, name in wanted.items()]


def _column(file: Path, header: list[str], kind: str, name: str | None) -> int | None:
    usual = _USUAL[kind] if name is None else (name,)
    found = [place for place, each in enumerate(header) if each == name or (name is None and each.lower() in usual)]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        fix = f"set dataset.{kind}_column to one of them" if name is None else "rename one of them"
        raise DataError(f"{file}: has the columns {some(header[each] for each in found)}; {fix}")
    if name is None and kind == "split":
        return None
    missing = f"no column {name}{nearest(name, header)}" if name is not None else f"no column called {some(usual, 99)}"
    raise DataError(f"{file}: has {missing}; its first row, with comma, semicolon or tab between cells, names "
                    f"{one_line(some(header, 10)) or 'none'}; set dataset.{kind}_column")  # fmt: skip


def _list(table: Table) -> Listing:
    """What the table says, once all of it makes sense."""
    bad = {label for label in set(table.labels) if not label or _NO_NAME.fullmatch(label)}
    table.require(
        [label not in bad for label in table.labels],
        lambda place: (
            f"its label '{table.labels[place]}' is empty or a number with a point; labels are names or whole numbers"
        ),
    )
    paths = _paths(table)
    names = _names(set(table.labels))
    place_of = {name: place for place, name in enumerate(names)}
    labels = np.array([place_of[label] for label in table.labels], np.int32)
    parts, notes = _parts(table)
    require_all_classes(table.file, labels, parts, names)
    return Listing(paths, labels, parts, names, notes)


def _names(labels: set[str]) -> tuple[str, ...]:
    whole = all(re.fullmatch(r"-?[0-9]+", label) for label in labels)
    return tuple(sorted(sorted(labels), key=int) if whole else sorted(labels))


def _paths(table: Table) -> list[str]:
    """The files, which are there, in the table's folder or below, and no two of them the same."""
    folder = os.path.abspath(table.file.parent)  # noqa: PTH100, these are ten times as fast as Path
    paths = [os.path.normpath(os.path.join(folder, path)) for path in table.paths]  # noqa: PTH118
    table.require(list(map(bool, table.paths)), lambda _: "has no path; name the picture's file")
    inside = folder.rstrip("/") + "/"
    table.require(
        [path.startswith(inside) for path in paths],
        lambda place: (
            f"{table.paths[place]} is outside of {folder}; paths are relative to the table, so put it beside "
            "the pictures or above them"
        ),
    )
    if len(set(paths)) < len(paths):
        first: dict[str, int] = {}
        firsts = [first.setdefault(path, place) for place, path in enumerate(paths)]
        table.require(
            [each == place for place, each in enumerate(firsts)],
            lambda place: f"{table.paths[place]} is in row {table.rows[firsts[place]]:,}, too; remove one of them",
        )
    table.require(
        list(map(os.path.exists, paths)),
        lambda place: f"there is no file {paths[place]}; paths are relative to the table",
    )
    return paths


def _parts(table: Table) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """The part of each row, and notes."""
    if table.splits is None:
        return settled(table.file, np.full(len(table.rows), TRAIN, np.uint8))
    words = [word.lower() for word in table.splits]
    table.require(
        [word in _PARTS for word in words],
        lambda place: f"'{words[place]}' is no part; it must be one of {', '.join(_PARTS)}",
    )
    return settled(table.file, np.array([_PARTS[word] for word in words], np.uint8))
