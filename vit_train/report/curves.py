"""How training went, from the rows of history.csv."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from vit_train.report.canvas import BLUE, GREY, ORANGE, figure
from vit_train.rundir.history import Row


def draw_curves(rows: Sequence[Row], best_epoch: int) -> Figure:
    """Loss, accuracies and learning rate by epoch, with the epoch whose weights are best; needs at least one row."""
    drawn = figure("Training", 10, 5)
    panels = drawn.subplot_mosaic([["loss", "accuracy", "top5_accuracy"], ["rate"] * 3], height_ratios=[3, 1])
    labels = {"loss": "cross-entropy in nats", "accuracy": "accuracy", "top5_accuracy": "top-5 accuracy"}
    for name, label in labels.items():
        # Told apart without colour, too: validation is solid, as where runs are compared.
        _line(panels[name], rows, name, BLUE, "training", "--", "o")
        _line(panels[name], rows, f"val_{name}", ORANGE, "validation", "-", "s")
        panels[name].set_title(label)
        if name != "loss":
            panels[name].yaxis.set_major_formatter(PercentFormatter(1))
    _line(panels["rate"], rows, "learning_rate", GREY, "learning rate", "-", "o")
    panels["rate"].set(title="learning rate of the epoch's last step")
    panels["rate"].set_ylim(bottom=0)
    panels["rate"].yaxis.set_major_formatter(StrMethodFormatter("{x:.2g}"))
    for axes in panels.values():
        axes.axvline(best_epoch, color=GREY, linewidth=1, linestyle=":", label=f"best epoch: {best_epoch}")
        axes.set(xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        axes.grid(axis="y")
    drawn.legend(*panels["loss"].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return drawn


def _line(axes: Any, rows: Sequence[Row], name: str, colour: str, label: str, line: str, marker: str) -> None:
    epochs, values = [row["epoch"] for row in rows], [row.get(name, math.nan) for row in rows]
    style = {"color": colour, "linestyle": line, "marker": marker, "markevery": math.ceil(len(rows) / 20)}
    axes.plot(epochs, values, label=label, markersize=3.5, linewidth=1.5, **style)
