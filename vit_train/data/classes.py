"""dataset.classes: the order of the classes, from a file."""

import unicodedata
from dataclasses import replace

import numpy as np

from vit_train.data.columns import Columns, read_text
from vit_train.data.listing import Listing
from vit_train.data.roots import expanded
from vit_train.errors import DataError
from vit_train.text import some


def in_order(listing: Listing, classes: str | None) -> Listing:
    """The listing with its classes in the order in which the file `classes` has their names, one in a line.

    Raises DataError, with the line, unless it names each class once and nothing else.
    """
    if classes is None:
        return listing
    file = expanded(classes)
    lines = [unicodedata.normalize("NFC", line.strip()) for line in read_text(file).splitlines()]
    rows, names = [row for row, name in enumerate(lines, start=1) if name], list(filter(None, lines))
    table = Columns(file, rows, {"name": names})
    table.require(
        [name in listing.class_names for name in names],
        lambda place: f"'{names[place]}' is no class of the data, which are {some(listing.class_names, 5)}",
    )
    table.require([names.index(name) == place for place, name in enumerate(names)],
                  lambda place: f"names '{names[place]}' a second time; remove it")  # fmt: skip
    if missing := [name for name in listing.class_names if name not in names]:
        raise DataError(f"{file}: lacks {len(missing):,} of the classes, such as '{missing[0]}'; name all of them")
    places = np.array([names.index(name) for name in listing.class_names], np.int32)
    return replace(listing, labels=places[listing.labels], class_names=tuple(names))
