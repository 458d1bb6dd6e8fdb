"""Curves of several runs in one picture."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vit_train.errors import ConfigError
from vit_train.rundir.history import Row

_PANELS = (("loss", "loss (nats)"), ("accuracy", "accuracy (%)"))

_TICKS = (1, 2, 5, 10, 20, 50, 100)
_MARKERS = "os^Dv*PX"  # of the runs in turn, so that they differ without colour
_FORMATS = ("png", "jpg", "jpeg", "svg", "pdf", "webp")


def format_of(path: Path) -> str:
    """The format that the ending of `path` names, PNG without one; raises ConfigError if there is no such format."""
    ending = path.suffix[1:].lower()
    if ending and ending not in _FORMATS:
        raise ConfigError(
            f"--plot {path}: is no picture that can be written; its name may end in .{', .'.join(_FORMATS)}"
        )
    return ending or "png"


def plot_curves(runs: Mapping[str, Sequence[Row]], path: Path, early: bool = False) -> None:
    """Writes a picture with a panel each for loss and accuracy: per run a colour, solid in validation, else dashed.

    `runs` maps the label of a run to its rows; of two that meet, the later is on top. With `early` the first epochs get
    as much room as the many after them. Raises ConfigError if `path` cannot be written or has an unknown format.
    """
    import matplotlib
    from matplotlib.figure import Figure

    from vit_train.report import canvas

    form = format_of(path)
    with matplotlib.rc_context({**canvas.style(), "svg.hashsalt": "compare"}):
        figure = Figure(figsize=(11, 4.5), dpi=120, layout="constrained")
        figure.suptitle("solid: validation, dashed: training")
        for axes, (column, label) in zip(figure.subplots(1, 2), _PANELS, strict=True):
            _draw(axes, {canvas.legible(name): rows for name, rows in runs.items()}, column)
            axes.set(xlabel="epoch", ylabel=label)
            axes.xaxis.get_major_locator().set_params(integer=True)
            if early:
                axes.set_xscale("log")
                axes.set_xticks(_TICKS, _TICKS)
                axes.minorticks_off()
            axes.grid(alpha=0.3)
            axes.legend(fontsize="small")
        try:
            figure.savefig(path, format=form, metadata={"Date": None} if form == "svg" else None)
        except OSError as error:
            raise ConfigError(f"--plot {path}: cannot be written ({error.strerror}); name another file") from error


def _draw(axes: Any, runs: Mapping[str, Sequence[Row]], column: str) -> None:
    scale = 100 if column == "accuracy" else 1
    for index, (name, rows) in enumerate(runs.items()):
        epochs = [row["epoch"] for row in rows]
        style: dict[str, Any] = {"color": f"C{index}", "marker": _MARKERS[index % len(_MARKERS)], "markersize": 4}
        style["markevery"] = math.ceil(len(rows) / 20)  # a run of one epoch is a point, not a line
        axes.plot(epochs, [row.get(f"val_{column}", math.nan) * scale for row in rows], label=name, **style)
        axes.plot(epochs, [row.get(column, math.nan) * scale for row in rows], linestyle="--", alpha=0.5, **style)
