"""Which classes are taken for which."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from vit_train.data.superclasses import Superclasses
from vit_train.files import replace_file
from vit_train.report.canvas import GREY, figure, shorten
from vit_train.text import csv_cell

NUMBERED = 20  # up to so many classes the cells have room for numbers
_ORDERED = 500  # up to so many it takes seconds at most to find the best order of the leaves


def draw_confusion(matrix: np.ndarray, class_names: Sequence[str], superclasses: Superclasses | None = None) -> Figure:
    """The fraction of each class's images by predicted class; `matrix` counts images [K, K], true class by predicted.

    Classes are in the order of their labels; if they are many, superclass by superclass or, without superclasses, those
    beside each other that are taken for each other.
    """
    classes = len(class_names)
    order: Any = np.arange(classes)
    if superclasses is not None:
        order = np.argsort(superclasses.index, kind="stable")
    elif classes > NUMBERED:
        order = order_by_confusion(matrix)
    support = matrix.sum(axis=1, keepdims=True)
    shares = (100 * matrix / np.maximum(support, 1))[np.ix_(order, order)]
    side = 7.0 if classes <= NUMBERED else float(np.clip(0.14 * classes, 12, 40))
    drawn = figure("Confusion matrix", side + 1, side)
    axes = drawn.subplots()
    # The root makes rare confusions visible beside the diagonal.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 100))
    bar = drawn.colorbar(image, ax=axes, shrink=0.6, ticks=[0, 1, 5, 10, 25, 50, 75, 100])
    bar.set_label("% of the true class's images")
    _name_classes(axes, [shorten(class_names[index]) for index in order])
    axes.set(xlabel="predicted class", ylabel="true class")
    if classes <= NUMBERED:
        _number_cells(axes, shares)
    if superclasses is not None:
        _mark_blocks(axes, superclasses, order)
    return drawn


def order_by_confusion(matrix: np.ndarray) -> np.ndarray:
    """The classes of a matrix as of `draw_confusion`, such that those that are confused stand together: int [K].

    They are the leaves of a hierarchical clustering by average linkage, where two classes are the nearer, the larger
    the fraction of their images that is taken for the other one.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    apart = 1 - (shares + shares.T) / 2
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform(apart), "average", optimal_ordering=len(matrix) <= _ORDERED)
    order: np.ndarray = leaves_list(tree)
    return order


def write_confusion(matrix: np.ndarray, class_names: Sequence[str], path: Path) -> None:
    """A CSV file with a row for each true class, and in it the number of images by predicted class."""
    names = [csv_cell(name) for name in class_names]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true class", *names])
    writer.writerows([name, *row] for name, row in zip(names, matrix.tolist(), strict=True))
    replace_file(path, text.getvalue())


def _name_classes(axes: Any, names: list[str]) -> None:
    size = float(np.clip(600 / len(names), 5, 9))
    rotation = 90 if max(map(len, names)) > 3 else 0
    axes.set_xticks(range(len(names)), names, rotation=rotation, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.tick_params(length=0, pad=2)


def _number_cells(axes: Any, shares: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(shares):
        if value >= 0.5:
            colour = "white" if value > 35 else "black"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour)


def _mark_blocks(axes: Any, superclasses: Superclasses, order: np.ndarray) -> None:
    """A square around the classes of each superclass, and its name at the top and the right."""
    groups = superclasses.index[order]
    starts, counts = np.unique(groups, return_index=True, return_counts=True)[1:]
    for start, count in zip(starts, counts, strict=True):
        corner = (start - 0.5, start - 0.5)
        axes.add_patch(Rectangle(corner, count, count, fill=False, edgecolor=GREY, linewidth=0.8))
    middles = starts + (counts - 1) / 2
    names = [name.replace("_", " ") for name in superclasses.names]
    top, right = axes.secondary_xaxis("top"), axes.secondary_yaxis("right")
    top.set_xticks(middles, names, fontsize=7, rotation=40, ha="left", rotation_mode="anchor")
    right.set_yticks(middles, names, fontsize=7)
    for other in (top, right):
        other.tick_params(length=0)
