"""What all figures share: style, colours, and the way into a PNG. No pyplot, whose state is global."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

# Two of the colours that M. Okabe and K. Ito chose to be told apart by everyone.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#767676"
DOTS_PER_INCH = 150
STYLE: Any = {  # matplotlib types each key
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "image.interpolation": "nearest",
}


def figure(title: str, width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches with its title at the left."""
    new = Figure(figsize=(width, height), layout="constrained")
    new.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
    return new


def save(draw: Callable[[], Figure | None], path: Path) -> None:
    """Draws in the common style and writes a PNG; nothing if there is nothing to draw."""
    with matplotlib.rc_context(STYLE):
        if (drawn := draw()) is not None:
            drawn.savefig(path, dpi=DOTS_PER_INCH)


def mosaic(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Tiles [T, H, W, ...] as one picture [rows * (H + 1) - 1, columns * (W + 1) - 1, ...] with NaN between them."""
    rows = math.ceil(len(tiles) / columns)
    count, height, width, *rest = tiles.shape
    filled = np.full((rows * columns, height + 1, width + 1, *rest), np.nan)
    filled[:count, :height, :width] = tiles
    grid = filled.reshape(rows, columns, *filled.shape[1:]).swapaxes(1, 2)
    return grid.reshape(rows * (height + 1), columns * (width + 1), *rest)[:-1, :-1]


def shorten(name: str, length: int = 18) -> str:
    """A name of at most `length` characters."""
    return name if len(name) <= length else name[: length - 1] + "…"


def without_axes(axes: Any) -> None:
    """Leaves a picture without ticks and frame."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
