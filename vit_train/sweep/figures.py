"""Pictures of a sweep as SVG: parallel coordinates, and validation accuracy against each thing that varies."""

import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from vit_train.report.canvas import BLUE, GREY, legible, style
from vit_train.sweep.plan import Job
from vit_train.sweep.ranking import REPEATED, labels, name_of

_COLOURS = matplotlib.colormaps["viridis_r"]  # from pale to dark, so that the best are what one sees
_MOST_TICKS = 8  # of values that a list gave; a search has as many values as runs, and gets these in between:
_TICKS = 5
_APART = 0.06  # how far lines through the same value are drawn from each other, as a fraction of the axis


@dataclass(frozen=True)
class Scale:
    """Where values as typed stand on an axis: numbers by size, or their logarithm if they vary much; else in turn."""

    values: list[str]  # each once, in their order
    places: list[float]  # of them
    numbers: bool = False
    logarithmic: bool = False

    @classmethod
    def of(cls, values: Sequence[str]) -> "Scale":
        """The scale that suits these values."""
        try:
            numbers = {value: float(value) for value in values}
        except ValueError:
            numbers = {}
        if not numbers or not all(map(math.isfinite, numbers.values())):
            names = list(dict.fromkeys(values))
            return cls(names, [float(index) for index in range(len(names))])
        names = sorted(numbers, key=lambda name: numbers[name])
        places = [numbers[name] for name in names]
        if places[0] > 0 and places[-1] >= 10 * places[0]:
            logarithms = [math.log10(place) for place in places]
            if _off_centre(logarithms) < _off_centre(places):
                return cls(names, logarithms, numbers=True, logarithmic=True)
        return cls(names, places, numbers=True)

    def ticks(self) -> list[tuple[float, str]]:
        """Places to name, and what to write there."""
        if not self.numbers or len(self.values) <= _MOST_TICKS:
            pairs = list(zip(self.places, self.values, strict=True))
            return pairs[:: math.ceil(len(pairs) / _MOST_TICKS)]
        places = np.linspace(self.places[0], self.places[-1], _TICKS).tolist()
        return [(place, f"{10**place if self.logarithmic else place:.2g}") for place in places]

    def place(self, value: str) -> float:
        """Where a value stands."""
        return self.places[self.values.index(value)]

    def share(self, place: float) -> float:
        """A place as a fraction of the axis, from 0 to 1."""
        low, high = min(self.places), max(self.places)
        return (place - low) / (high - low) if high > low else 0.5


def _off_centre(places: Sequence[float]) -> float:
    """How far the median is from the middle, as a fraction of the range: 0 for evenly spread places."""
    return abs(statistics.median(places) - (places[0] + places[-1]) / 2) / (places[-1] - places[0])


def draw(keys: Sequence[str], jobs: Sequence[Job]) -> list[str]:
    """SVGs of at least one job: parallel coordinates, then one plot for each key.

    Seeds and folds are the points of these plots, and no axis of their own unless nothing else varies.
    """
    keys = [key for key in keys if key not in REPEATED] or keys
    with matplotlib.rc_context({**style(), "svg.hashsalt": "sweep"}):
        return [_svg(parallel_coordinates(keys, jobs)), *(_svg(against(key, jobs)) for key in keys)]


def parallel_coordinates(keys: Sequence[str], jobs: Sequence[Job]) -> Figure:
    """A line for each job through its values, coloured by validation accuracy, with a point there; the best on top."""
    accuracies = [100 * job.result["validation_accuracy"] for job in jobs]
    low, high = min(accuracies), max(accuracies)
    if low == high:
        low, high = low - 1, high + 1
    figure = Figure(figsize=(2 + 1.7 * len(keys), 3.6), layout="constrained")
    axes = figure.subplots()
    scales = [Scale.of([job.varied[key] for job in jobs]) for key in keys]
    for job, accuracy in sorted(zip(jobs, accuracies, strict=True), key=lambda pair: pair[1]):
        share = (accuracy - low) / (high - low)
        apart = (share - 0.5) * _APART
        heights = [scale.share(scale.place(job.varied[key])) + apart for key, scale in zip(keys, scales, strict=True)]
        colour = _COLOURS(0.1 + 0.9 * share)  # its first colours are too pale for white paper
        axes.plot([*heights, share], color=colour, alpha=0.8, linewidth=1.2 + share)
        axes.plot(len(keys), share, "o", color=colour, markersize=4)
    for index, scale in enumerate(scales):
        _upright(axes, index, [(scale.share(place), text) for place, text in scale.ticks()])
    steps = np.linspace(low, high, 5)
    _upright(axes, len(keys), [((step - low) / (high - low), f"{step:.1f}") for step in steps])
    axes.set_xticks(range(len(keys) + 1), [*map(_said, labels(keys)), "validation accuracy (%)"])
    axes.set(yticks=[], xlim=(-0.35, len(keys) + 0.35))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def _upright(axes: Any, x: int, ticks: Sequence[tuple[float, str]]) -> None:
    """An axis at `x` with text at heights from 0 to 1."""
    axes.axvline(x, color=GREY, linewidth=0.8, zorder=0)
    for height, text in ticks:
        axes.annotate(legible(text), (x, height), (4, 0), textcoords="offset points", va="center", fontsize=8,
                      bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7})  # fmt: skip


def against(key: str, jobs: Sequence[Job]) -> Figure:
    """A point for each job, and the mean of each of a few values: of numbers a line, of others a dash."""
    scale = Scale.of([job.varied[key] for job in jobs])
    found = {value: [100 * job.result["validation_accuracy"] for job in jobs if job.varied[key] == value]
             for value in scale.values}  # fmt: skip
    figure = Figure(figsize=(4.2, 3), layout="constrained")
    axes = figure.subplots()
    for value, accuracies in found.items():
        axes.plot([scale.place(value)] * len(accuracies), accuracies, "o", color=BLUE, alpha=0.6)
    if len(scale.values) <= _MOST_TICKS:
        means = [statistics.fmean(accuracies) for accuracies in found.values()]
        axes.plot(scale.places, means, "-" if scale.numbers else "_", markersize=24, color=GREY, zorder=0)
    places, texts = zip(*scale.ticks(), strict=True)
    axes.set_xticks(places, [legible(text) for text in texts])
    name = _said(key.split(".")[-1])
    axes.set(xlabel=name + (", logarithmic" if scale.logarithmic else ""), ylabel="validation accuracy (%)")
    axes.grid(axis="y", color="#e4e4e4")
    axes.margins(x=0.1)
    return figure


def _said(label: str) -> str:
    return legible(name_of(label))


def _svg(figure: Figure) -> str:
    """The same bytes for the same picture: without the date that matplotlib adds."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
