"""What all figures share: style, colours, and the way into a PNG. No pyplot, whose state is global."""

import io
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from vit_train.text import one_line

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
    "text.parse_math": False,  # a name such as $x^2$ is a name
}
# What is looked for where DejaVu Sans, which comes with matplotlib, lacks a character: of CJK, then of pictographs.
_MORE_FONTS = (
    *(f"Noto Sans CJK {place}" for place in ("SC", "JP", "KR", "TC", "HK")),
    *("Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAGothic"),
    *("IPAexGothic", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "PingFang SC", "Hiragino Sans"),
    *("Arial Unicode MS", "Noto Emoji", "Symbola", "Segoe UI Emoji", "Segoe UI Symbol"),
)


@cache
def _fonts() -> dict[str, set[int]]:
    """The fonts to write with, and the characters that each has."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    names = ["DejaVu Sans", *(name for name in _MORE_FONTS if name in installed)]
    return {name: set(font_manager.get_font(font_manager.findfont(name)).get_charmap()) for name in names}


def legible(text: str) -> str:
    r"""`text` in one line of characters that an installed font has; others are escapes, such as \u732b."""
    fonts = _fonts().values()
    return "".join(
        each if any(ord(each) in font for font in fonts) else each.encode("unicode_escape").decode()
        for each in one_line(text)
    )


def style() -> Any:
    """What Matplotlib is set to while a figure is drawn; Any, since matplotlib types each key."""
    return {**STYLE, "font.family": list(_fonts())}


def figure(title: str, width: float, height: float, images: bool = False) -> Figure:
    """An empty figure of `width` x `height` inches with its title at the left; with `images` it has no background."""
    new = Figure(figsize=(width, height), layout="constrained", facecolor="none" if images else "white")
    new.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
    return new


def save(draw: Callable[[], Figure | None], path: Path) -> None:
    """Draws in the common style and writes a PNG; nothing if there is nothing to draw.

    What has no background, since images keep their colours on a dark page, has text that can be read on any.
    """
    with matplotlib.rc_context(style()):
        if (drawn := draw()) is not None:
            if to_rgba(drawn.get_facecolor())[3] == 0:
                for text in drawn.findobj(Text):
                    text.set_color(GREY)
            drawn.savefig(path, dpi=DOTS_PER_INCH)


def on_any_page(draw: Callable[[], Figure]) -> bytes:
    """A chart as a PNG for a page that may be light or dark, as a notebook's: no background, the rest in grey."""
    lines = ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color")
    colours: Any = dict.fromkeys(lines, GREY) | {"axes.facecolor": "none", "grid.color": "#80808050"}
    file = io.BytesIO()
    with matplotlib.rc_context({**style(), **colours}):
        draw().savefig(file, dpi=DOTS_PER_INCH, format="png", facecolor="none")
    return file.getvalue()


def mosaic(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Tiles [T, H, W, ...] as one picture [rows * (H + 1) - 1, columns * (W + 1) - 1, ...] with NaN between them."""
    rows = math.ceil(len(tiles) / columns)
    count, height, width, *rest = tiles.shape
    filled = np.full((rows * columns, height + 1, width + 1, *rest), np.nan)
    filled[:count, :height, :width] = tiles
    grid = filled.reshape(rows, columns, *filled.shape[1:]).swapaxes(1, 2)
    return grid.reshape(rows * (height + 1), columns * (width + 1), *rest)[:-1, :-1]


def shorten(name: str, length: int = 18) -> str:
    """A name as a figure can show it, of at most `length` characters."""
    name = legible(name)
    return name if len(name) <= length else name[: length - 1] + "…"


def without_axes(axes: Any) -> None:
    """Leaves a picture without ticks and frame."""
    axes.set_axis_off()
