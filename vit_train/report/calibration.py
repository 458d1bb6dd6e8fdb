"""Whether the model is right as often as it says."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from vit_train.report.canvas import BLUE, GREY, ORANGE, figure
from vit_train.report.scores import BINS, Calibration


def draw_reliability(calibration: Calibration) -> Figure:
    """Accuracy against confidence in bins (a reliability diagram), over the number of images in each bin."""
    drawn = figure(f"Reliability: expected calibration error {calibration.error:.1%}", 6, 6.4)
    upper, lower = drawn.subplots(2, sharex=True, height_ratios=[3, 1])
    centres, width = (np.arange(BINS) + 0.5) / BINS, 0.92 / BINS
    gap = calibration.confidence - calibration.accuracy
    upper.bar(centres, calibration.accuracy, width, color=BLUE, label="accuracy")
    upper.bar(
        centres, gap, width, calibration.accuracy, color="none", edgecolor=ORANGE, hatch="////", linewidth=0.8,
        label="from accuracy to mean confidence",
    )  # fmt: skip
    upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as often right as sure")
    upper.set(ylabel="right answers", xlim=(0, 1), ylim=(0, 1))
    upper.legend(loc="upper left")
    lower.bar(centres, calibration.counts / calibration.counts.sum(), width, color=GREY)
    lower.set(xlabel="confidence: probability of the most probable class", ylabel="fraction of images")
    for axis in (upper.yaxis, lower.yaxis, lower.xaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axes in (upper, lower):
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    return drawn
