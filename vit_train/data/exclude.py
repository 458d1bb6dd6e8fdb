"""dataset.exclude: pictures that are left out."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vit_train.data.columns import Columns, columns_of, names_paths, read_text
from vit_train.data.listing import PART_NAMES, Listing
from vit_train.data.roots import expanded
from vit_train.errors import DataError
from vit_train.text import from_csv_cell


def without(listing: Listing, exclude: str | None, root: Path) -> tuple[Listing, npt.NDArray[np.int64]]:
    """The listing but for the pictures that the file `exclude` names, relative to the folder `root`, and the rows left.

    It has a name in every line, or is a CSV file with a column of them. Raises DataError, with the row, for a name that
    is none of a picture in the listing, and if a class would have none in a part.
    """
    if exclude is None:
        return listing, np.arange(len(listing.paths))
    named = named_in(exclude)
    place_of = {os.path.abspath(path): place for place, path in enumerate(listing.paths)}  # noqa: PTH100
    folder = os.path.abspath(root)  # noqa: PTH100
    paths = [os.path.normpath(os.path.join(folder, path)) for path in named.cells["path"]]  # noqa: PTH118
    named.require(
        [path in place_of for path in paths],
        lambda place: (
            f"{named.cells['path'][place]} is no picture of the data set; they are named from {root}, as "
            f"{os.path.relpath(listing.paths[0], root)}"
        ),
    )
    kept = np.setdiff1d(np.arange(len(listing.paths)), [place_of[path] for path in paths])
    labels, parts = listing.labels[kept], listing.parts[kept]
    for part, label in sorted({*zip(listing.parts.tolist(), listing.labels.tolist(), strict=True)}):
        if not ((parts == part) & (labels == label)).any():
            raise DataError(f"{named.file}: leaves class '{listing.class_names[label]}' without a picture in the part "
                            f"{PART_NAMES[part][0]}; leave out fewer")  # fmt: skip
    count = len(listing.paths) - len(kept)
    note = f"note: {count:,} {'picture is' if count == 1 else 'pictures are'} left out, as {named.file} says"
    return dataclasses.replace(listing.take(kept), notes=(*listing.notes, note)), kept


def named_in(exclude: str) -> Columns:
    """The names in the column `path` of a CSV file, or in the lines of a text file."""
    file = expanded(exclude)
    text = read_text(file)
    found = columns_of(file, text, {"path": None}) if names_paths(file, text) else _lines(file, text)
    return dataclasses.replace(found, cells={"path": [from_csv_cell(path) for path in found.cells["path"]]})


def _lines(file: Path, text: str) -> Columns:
    lines = [(row, line.strip()) for row, line in enumerate(text.splitlines(), start=1) if line.strip()]
    return Columns(file, [row for row, _ in lines], {"path": [line for _, line in lines]})
