"""The networks of the recipes `fast` and `compact`, as far as the workers that are written by hand need them."""

from collections.abc import Sequence
from typing import NamedTuple

CLASSES = 100


class Shape(NamedTuple):
    """Channels of the stem, width of a token, blocks, and heads of each."""

    stem: int
    width: int
    depth: int
    heads: int


SHAPES = {"fast": Shape(48, 128, 4, 4), "compact": Shape(64, 192, 6, 6)}


def shape_of(words: Sequence[str]) -> Shape:
    """The one that is named, else that of `fast`."""
    return next((shape for name, shape in SHAPES.items() if name in words), SHAPES["fast"])
