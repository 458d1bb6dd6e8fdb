"""What is wrong with pictures, or may be: from what `vit_train.data.survey` saw of them."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vit_train.data import lookalikes
from vit_train.data.survey import Part

# What is looked for, in the order in which it is told. A picture may be found for more than one reason.
KINDS = {
    "wrong": "likely wrong labels",
    "leak": "in two parts",
    "label": "copies of two classes",
    "copy": "copies in one part",
    "blank": "blank",
    "tiny": "tiny",
    "turned": "turned by EXIF",
    "size": "of unusual size",
    "colour": "of unusual colour",
}
_BLANK = 3.0  # the least standard deviation of values in [0, 255] that shows something
_TINY = 32  # pixels of the shorter side of a file
_FAR = 5.0  # robust standard deviations from the median
# The least that counts as one, so that pictures are not unusual where all others are the same: factors, and levels.
_LEAST_SIZE, _LEAST_COLOUR = np.log(1.2), 8.0
_KEPT_FIRST = ("test", "validation", "train")  # of copies in two parts, the one in the first of these stays


@dataclass(frozen=True)
class Finding:
    """One reason to look at a picture, the one at `row` of `part`.

    `other` is the (part, row) of which it is a copy. With `leave_out` it should be left out of what is learnt from.
    """

    kind: str
    part: str
    row: int
    reason: str
    leave_out: bool = False
    other: tuple[str, int] | None = None


def find(parts: Sequence[Part], class_names: Sequence[str]) -> list[Finding]:
    """Everything that can be told from the pictures and their labels, in the order of KINDS, parts and rows."""
    found = [*_copies(parts, class_names), *_single(parts)]
    order = {kind: place for place, kind in enumerate(KINDS)}
    return sorted(found, key=lambda each: order[each.kind])


def _copies(parts: Sequence[Part], class_names: Sequence[str]) -> Iterator[Finding]:
    """Each copy with the picture most like it: in its own part one before it, in another part the most alike."""
    seen = [np.where(part.contrast[:, None] < _BLANK, 0, lookalikes.describe(part.thumbnails)) for part in parts]
    for mine, rows_of in zip(parts, lookalikes.nearest(seen), strict=True):
        for theirs, others in zip(parts, rows_of, strict=True):
            for row in np.flatnonzero(others >= 0).tolist():
                yield from _copy(mine, row, theirs, int(others[row]), class_names)


def _copy(mine: Part, row: int, theirs: Part, other: int, class_names: Sequence[str]) -> Iterator[Finding]:
    label, other_label = mine.source.labels[row], theirs.source.labels[other]
    how = "the same as" if mine.digests[row] == theirs.digests[other] else "nearly the same as"
    within = mine is theirs
    leave_out = within or _KEPT_FIRST.index(mine.name) > _KEPT_FIRST.index(theirs.name)
    where = (theirs.name, other)
    reason = f"{how} {theirs.names[other]}"
    yield Finding("copy" if within else "leak", mine.name, row, reason, leave_out, where)
    if label != other_label:
        reason += f", whose class is {class_names[other_label]}"
        yield Finding("label", mine.name, row, reason, leave_out, where)
        if within:  # nobody knows which of the two labels is right
            back = f"{how} {mine.names[row]}, whose class is {class_names[label]}"
            yield Finding("label", mine.name, other, back, mine.name == "train", (mine.name, row))


def _single(parts: Sequence[Part]) -> Iterator[Finding]:
    """What can be told of one picture, beside the others of all parts."""
    sizes = np.log(np.concatenate([part.sizes for part in parts]).astype(np.float64))
    area, aspect = sizes.sum(axis=1), sizes[:, 1] - sizes[:, 0]
    colours = np.concatenate([part.colours for part in parts])
    start = 0
    for part in parts:
        span = slice(start, start := start + len(part))
        for row in np.flatnonzero(part.contrast < _BLANK).tolist():
            yield Finding("blank", part.name, row, f"values differ by {part.contrast[row]:.1f} of 255 only", True)
        for row in np.flatnonzero(part.files & (part.sizes.min(axis=1) < _TINY)).tolist():
            yield Finding("tiny", part.name, row, f"{part.sizes[row, 1]} x {part.sizes[row, 0]} pixels")
        for row in np.flatnonzero(part.turns > 1).tolist():
            how = "mirrored" if part.turns[row] in (2, 4) else "turned"
            yield Finding("turned", part.name, row, f"{how} by its EXIF block, which other programs may not do")
        for row in np.flatnonzero(_unusual(area, _LEAST_SIZE)[span] | _unusual(aspect, _LEAST_SIZE)[span]).tolist():
            usual = np.exp(np.median(sizes, axis=0)).round().astype(int)
            reason = f"{part.sizes[row, 1]} x {part.sizes[row, 0]} pixels, where the usual is {usual[1]} x {usual[0]}"
            yield Finding("size", part.name, row, reason)
        odd = np.any([_unusual(channel, _LEAST_COLOUR)[span] for channel in colours.T], axis=0)
        for row in np.flatnonzero(odd & (part.contrast >= _BLANK)).tolist():
            red, green, blue = part.colours[row].round().astype(int)
            yield Finding("colour", part.name, row, f"its mean colour is {red} {green} {blue}")


def _unusual(values: npt.NDArray[np.float64], least: float) -> npt.NDArray[np.bool_]:
    """bool [N]: far from the median, in units of the median distance from it, which outliers do not move.

    1.4826 of these are a standard deviation of a normal distribution (B. Iglewicz and D. Hoaglin, 1993).
    """
    distance = np.abs(values - np.median(values))
    return np.asarray(distance > _FAR * max(1.4826 * float(np.median(distance)), least))


def alike_names(class_names: Sequence[str]) -> list[list[str]]:
    """Names that differ by upper and lower case, blanks, hyphens and underscores only."""
    groups = defaultdict(list)
    for name in class_names:
        groups[re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name).casefold())].append(name)
    return [names for names in groups.values() if len(names) > 1]
