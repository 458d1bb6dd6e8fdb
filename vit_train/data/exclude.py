"""dataset.exclude: pictures that are left out."""

import dataclasses
import os
from pathlib import Path

import numpy as np

from vit_train.data.columns import Columns, names_paths, read_columns, read_text
from vit_train.data.listing import PART_NAMES, Listing
from vit_train.data.roots import expanded
from vit_train.errors import DataError
from vit_train.text import from_csv_cell


def without(listing: Listing, exclude: str | None, root: Path) -> Listing:
    """The listing but for the pictures that the file `exclude` names by paths relative to the folder `root`.

    It has a path in every line, or is a CSV file with a column of them. Raises DataError, with the row, for a path that
    is none of a picture in the listing, and if a class would have none in a part.
    """
    if exclude is None:
        return listing
    named = named_in(exclude)
    place_of = {os.path.abspath(path): place for place, path in enumerate(listing.paths)}  # noqa: PTH100
    folder = os.path.abspath(root)  # noqa: PTH100
    paths = [os.path.normpath(os.path.join(folder, path)) for path in named.cells["path"]]  # noqa: PTH118
    named.require(
        [path in place_of for path in paths],
        lambda place: f"{named.cells['path'][place]} is no picture of the data set; paths are relative to {root}",
    )
    kept = np.setdiff1d(np.arange(len(listing.paths)), [place_of[path] for path in paths])
    labels, parts = listing.labels[kept], listing.parts[kept]
    for part, label in sorted({*zip(listing.parts.tolist(), listing.labels.tolist(), strict=True)}):
        if not ((parts == part) & (labels == label)).any():
            raise DataError(f"{named.file}: leaves class '{listing.class_names[label]}' without a picture in the part "
                            f"{PART_NAMES[part][0]}; leave out fewer")  # fmt: skip
    note = f"note: {len(listing.paths) - len(kept):,} pictures are left out, as {named.file} says"
    return dataclasses.replace(
        listing,
        paths=[listing.paths[place] for place in kept],
        labels=labels,
        parts=parts,
        notes=(*listing.notes, note),
        groups=None if listing.groups is None else [listing.groups[place] for place in kept],
    )


def named_in(exclude: str) -> Columns:
    """The paths in the column `path` of a CSV file, or in the lines of a text file."""
    file = expanded(exclude)
    found = read_columns(file, {"path": None}) if names_paths(file) else _lines(file)
    return dataclasses.replace(found, cells={"path": [from_csv_cell(path) for path in found.cells["path"]]})


def _lines(file: Path) -> Columns:
    lines = [(row, line.strip()) for row, line in enumerate(read_text(file).splitlines(), start=1) if line.strip()]
    return Columns(file, [row for row, _ in lines], {"path": [line for _, line in lines]})
