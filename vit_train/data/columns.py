"""Columns of a CSV file that a user wrote, as text, and what is said of a row that cannot be used."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vit_train.config.convert import nearest
from vit_train.errors import DataError
from vit_train.files import read_regular
from vit_train.text import one_line, some

_MOST_BYTES = 2**31  # some ten million rows
NO_LABEL = "empty or a number with a point; labels are names or whole numbers"
_NO_LABEL = re.compile(r"[+-]?(\d+\.\d*|\.\d+)(e[+-]?\d+)?|[+-]?nan|", re.IGNORECASE)
# What a column of each kind is called where the config does not say.
_USUAL = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img"),
    "label": ("label", "labels", "class", "class_name", "category"),
    "split": ("split", "part", "set", "subset"),
}


@dataclass(frozen=True, eq=False)
class Columns:
    """The cells of some columns, by kind; `rows` has the number by which a user knows each row.

    class_names: all labels in their order, if the file says that. places: where the pictures are that it holds itself,
    int64 [N, 3] as of Packed; then there are no paths.
    """

    file: Path
    rows: Sequence[int]
    cells: dict[str, list[str]]
    class_names: tuple[str, ...] | None = None
    places: npt.NDArray[np.int64] | None = None

    def require(self, good: Sequence[bool], problem: Callable[[int], str]) -> None:
        """Raises DataError if not all rows are `good`, with the `problem` of the first bad one, given its place."""
        if all(good):
            return
        bad = [place for place, fine in enumerate(good) if not fine]
        others = f" (and in {len(bad) - 1:,} more, such as {some([f'{self.rows[each]:,}' for each in bad[1:]], 3)})"
        raise DataError(f"{self.file}: row {self.rows[bad[0]]:,}: {problem(bad[0])}{others if len(bad) > 1 else ''}")


def read_columns(file: Path, names: Mapping[str, str | None]) -> Columns:
    """The columns of the kinds in `names`: of that name, or None for a usual one; only "split" may be absent then.

    Raises DataError if the file is no CSV in UTF-8, or a column is not there.
    """
    return columns_of(file, read_text(file), names)


def columns_of(file: Path, text: str, names: Mapping[str, str | None]) -> Columns:
    """The same of what the file says."""
    delimiter, header = _header(file, text)
    where = "its first row, with comma, semicolon or tab between cells,"
    found_in = {kind: find_column(file, header, kind, name, where) for kind, name in names.items()}
    columns = {kind: place for kind, place in found_in.items() if place is not None}
    reader, rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), list[int]()
    found = {kind: list[str]() for kind in columns}  # a list for each of a million rows would take twice the time
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if number == 1 or not cells:
                continue
            if len(cells) != len(header):
                raise DataError(f"{file}: row {number:,}: has {len(cells)} cells, and the first row {len(header)}; put "
                                "quotes around a cell with a delimiter in it")  # fmt: skip
            rows.append(number)
            for kind, place in columns.items():
                found[kind].append(cells[place].strip())
    except csv.Error as error:
        raise DataError(f"{file}: row {number + 1:,}: cannot be read ({error}); are its quotes closed?") from error
    return Columns(file, rows, found)


def is_no_label(text: str) -> bool:
    """Whether it is what programs write for a gap, or make of whole numbers with gaps among them: NO_LABEL."""
    return _NO_LABEL.fullmatch(text) is not None


def names_paths(file: Path, text: str) -> bool:
    """Whether the first row names a column of paths, as it does in a CSV file and not in a list of lines."""
    return any(name.lower() in _USUAL["path"] for name in _header(file, text)[1])


def read_text(file: Path) -> str:
    """What a file in UTF-8 says; raises DataError if it is none."""
    try:
        data = read_regular(file, _MOST_BYTES)
    except IsADirectoryError:
        raise DataError(f"{file}: is a folder; name the file, or use dataset=folder for pictures in folders") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); fix that, or name another file") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}: is not UTF-8 (the byte {data[error.start]:#04x} in line {line:,}); save it as that, "
                        "which Excel calls CSV UTF-8") from None  # fmt: skip
    if "\0" in text:
        raise DataError(f"{file}: is no text, it has bytes of zero; save it as CSV in UTF-8")
    return text


def _header(file: Path, text: str) -> tuple[str, list[str]]:
    """The delimiter that makes the most of the first row, and the names of the columns."""
    try:
        readers = {each: csv.reader(io.StringIO(text, newline=""), delimiter=each) for each in ",;\t"}
        headers = {each: [name.strip() for name in next(reader, [])] for each, reader in readers.items()}
    except csv.Error as error:
        raise DataError(f"{file}: row 1: cannot be read ({error}); it names the columns") from error
    delimiter = max(headers, key=lambda each: len(headers[each]))
    return delimiter, headers[delimiter]


def find_column(file: Path, header: list[str], kind: str, name: str | None, where: str) -> int | None:
    """The place in `header`, which is of `where`, of the column of a kind; raises DataError if it is not there."""
    usual = _USUAL[kind] if name is None else (name,)
    found = [place for place, each in enumerate(header) if each == name or (name is None and each.lower() in usual)]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        fix = f"set {key_of(kind)} to one of them" if name is None else "rename one of them"
        raise DataError(f"{file}: has the columns {some(header[each] for each in found)}; {fix}")
    if name is None and kind == "split":
        return None
    missing = f"no column {name}{nearest(name, header)}" if name is not None else f"no column called {some(usual, 99)}"
    raise DataError(f"{file}: has {missing}; {where} names {one_line(some(header, 10)) or 'none'}; "
                    f"set {key_of(kind)}")  # fmt: skip


def key_of(kind: str) -> str:
    """The key that names the column of a kind."""
    return "dataset.group" if kind == "group" else f"dataset.{kind}_column"
