from xml.etree import ElementTree

import pytest
from matplotlib.colors import to_rgb

from vit_train.sweep import figures
from vit_train.sweep.figures import Scale


@pytest.mark.parametrize(
    ("values", "ordered", "shares"),
    [
        (["8", "2", "4", "2"], ["2", "4", "8"], [0, 1 / 3, 1]),
        (["0.01", "0.0001", "0.001"], ["0.0001", "0.001", "0.01"], [0, 0.5, 1]),
        (["0", "100", "10"], ["0", "10", "100"], [0, 0.1, 1]),
        (["vit", "null", "2"], ["vit", "null", "2"], [0, 0.5, 1]),
        (["nan", "1"], ["nan", "1"], [0, 1]),
        (["7", "7"], ["7"], [0.5]),
    ],
)
def test_values_stand_by_size_or_in_turn(values, ordered, shares):
    scale = Scale.of(values)
    assert scale.values == ordered
    assert [scale.share(scale.place(value)) for value in ordered] == pytest.approx(shares)


def test_many_numbers_have_round_ticks_on_the_scale_that_spreads_them():
    spread = Scale.of([str(10 ** (-4 + index / 10)) for index in range(31)])
    assert [text for _, text in spread.ticks()] == ["0.0001", "0.00056", "0.0032", "0.018", "0.1"]
    even = Scale.of([str(0.01 + index / 10) for index in range(31)])  # also more than tenfold
    assert [text for _, text in even.ticks()] == ["0.01", "0.76", "1.5", "2.3", "3"]


def test_each_picture_is_svg_and_shows_every_job(planned):
    sweep = planned("model.depth=1,2", "augment=none,basic")
    for job in sweep.jobs:
        job.result = {"validation_accuracy": job.number / 10}
    for picture in figures.draw(sweep.keys, sweep.jobs):
        assert ElementTree.fromstring(picture).tag.endswith("svg")
    drawn = figures.parallel_coordinates(sweep.keys, sweep.jobs).axes[0].lines
    assert [len(line.get_xdata()) for line in drawn[:8]] == [3, 1] * 4
    luminance = [
        0.3 * red + 0.6 * green + 0.1 * blue for red, green, blue in (to_rgb(each.get_color()) for each in drawn[:8:2])
    ]
    assert luminance == sorted(luminance, reverse=True)  # the best, drawn last, is the darkest
    points = figures.against("model.depth", sweep.jobs).axes[0].lines
    assert [list(line.get_ydata()) for line in points] == [[10, 20], [30, 40], [15, 35]]


def test_runs_that_are_all_alike_can_be_drawn(planned):
    sweep = planned("seed=1,2")
    for job in sweep.jobs:
        job.result = {"validation_accuracy": 0.5}
    assert len(figures.draw(sweep.keys, sweep.jobs)) == 2


def test_seeds_are_points_and_no_axis_unless_nothing_else_varies(planned):
    sweep = planned("model.depth=1,2", "seed=1,2")
    for job in sweep.jobs:
        job.result = {"validation_accuracy": job.number / 10}
    assert len(figures.draw(sweep.keys, sweep.jobs)) == 2
    points = figures.against("model.depth", sweep.jobs).axes[0]
    assert [list(line.get_ydata()) for line in points.lines[:2]] == [[10, 20], [30, 40]]
    assert points.get_xlabel() == "depth"
