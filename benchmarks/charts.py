"""The figures of docs/performance.md."""

import statistics
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.measures import Growth, Result, alternatives
from vit_train.report import canvas


def draw_ratios(groups: list[Result], path: Path) -> None:
    """How many times faster ours is than each alternative: median and range."""
    canvas.save(lambda: _ratios(list(alternatives(groups))), path)


def _ratios(rows: list[tuple[str, str, list[float]]]) -> Figure:
    figure = canvas.figure("Times faster than the alternative", 8, 1 + 0.3 * len(rows))
    axes = figure.subplots()
    axes.axvline(1, color=canvas.GREY, linewidth=1)
    for place, (_, _, values) in enumerate(rows):
        axes.plot([min(values), max(values)], [place, place], color=canvas.BLUE, linewidth=2)
        axes.plot(statistics.median(values), place, "o", color=canvas.BLUE)
    axes.set_yticks(range(len(rows)), [f"{group}: {contender}" for group, contender, _ in rows])
    axes.set(xlabel="median and range over the rounds; right of 1, ours is faster", ylim=(len(rows) - 0.5, -0.5))
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    return figure


def draw_growth(groups: list[Result], path: Path) -> None:
    """A column for each thing that grows: seconds above, memory below."""
    canvas.save(lambda: _growth(groups), path)


def _growth(groups: list[Result]) -> Figure:
    figure = canvas.figure("Time and memory as one thing grows", 2.4 * len(groups), 4.5)
    panels = figure.subplots(2, len(groups), squeeze=False, sharex="col")
    for group, (time, memory) in zip(groups, panels.T, strict=True):
        found = Growth.of(group)
        time.plot(found.sizes, found.seconds, "o-", color=canvas.BLUE)
        memory.plot(found.sizes, found.memory, "o-", color=canvas.ORANGE)
        if group["title"] == "images":
            time.plot(found.sizes, found.start, "o--", color=canvas.GREY)
        memory.set_xlabel(group["title"])
        for axes in (time, memory):
            axes.set(xlim=(0, 1.08 * axes.dataLim.xmax), ylim=(0, 1.1 * axes.dataLim.ymax))
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.grid()
        time.set_title("an epoch (dashed: start)" if group["title"] == "images" else "a step")
    panels[0, 0].set_ylabel("seconds")
    panels[1, 0].set_ylabel("peak memory, GiB")
    return figure
