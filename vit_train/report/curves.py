"""How training went, from the rows of history.csv."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from vit_train.history import Row
from vit_train.report.canvas import BLUE, GREY, ORANGE, figure


def draw_curves(rows: Sequence[Row], best_epoch: int) -> Figure:
    """Loss, accuracies and learning rate by epoch, with the epoch whose weights were kept; needs at least one row."""
    drawn = figure("Training", 10, 5.2)
    panels = drawn.subplot_mosaic([["loss", "accuracy"], ["rate", "rate"]], height_ratios=[3, 1])
    loss, accuracy, rate = panels["loss"], panels["accuracy"], panels["rate"]
    _line(loss, rows, "loss", "training", BLUE)
    _line(loss, rows, "val_loss", "validation", ORANGE)
    loss.set(title="Loss", ylabel="cross-entropy in nats")
    for prefix, part, colour in (("", "training", BLUE), ("val_", "validation", ORANGE)):
        _line(accuracy, rows, f"{prefix}top5_accuracy", f"{part}, top-5", colour, linestyle="--")
        _line(accuracy, rows, f"{prefix}accuracy", part, colour)
    accuracy.set(title="Accuracy", ylabel="share of images", ylim=(0, 1.02))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    _line(rate, rows, "learning_rate", "", GREY)
    rate.set(title="Learning rate", ylabel="at the epoch's end")
    rate.set_ylim(bottom=0)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    for axes in (loss, accuracy, rate):
        axes.axvline(best_epoch, color=GREY, linewidth=1, linestyle=":", label=f"epoch {best_epoch}, kept")
        axes.set(xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        axes.grid(axis="y")
    loss.legend()
    accuracy.legend(loc="lower right")
    return drawn


def _line(axes: Any, rows: Sequence[Row], name: str, label: str, colour: str, **options: Any) -> None:
    marker = "o" if len(rows) < 20 else ""
    epochs, values = [row["epoch"] for row in rows], [row[name] for row in rows]
    axes.plot(epochs, values, label=label, color=colour, marker=marker, markersize=3, linewidth=1.5, **options)
