import json
import math

import numpy as np
import pytest

from vit_train.rundir import predictions
from vit_train.runs.cli import run as vit_runs
from vit_train.runs.paired import difference
from vit_train.training.evaluate import from_logits


def rights(both, first, second, neither):
    """bool [N] of two runs, from how many images both, each alone, and none have right."""
    columns = [(1, 1)] * both + [(1, 0)] * first + [(0, 1)] * second + [(0, 0)] * neither
    return np.array(columns, bool).T


@pytest.mark.parametrize(("first", "second"), [(3, 12), (12, 3), (5, 5), (0, 6)])
def test_p_is_that_of_a_coin_by_hand(first, second):
    """Twice the chance of so few heads or fewer, and 1 at most."""
    tosses = first + second
    tail = sum(math.comb(tosses, heads) for heads in range(min(first, second) + 1)) / 2**tosses
    assert difference(*rights(20, first, second, 9)).p == pytest.approx(min(1, 2 * tail))


def test_the_interval_is_that_of_a_large_sample():
    """Of a mean of values -1, 0 and 1: its standard error by hand."""
    found = difference(*rights(6000, 400, 520, 3080))
    mean = 120 / 10_000
    error = math.sqrt((920 / 10_000 - mean**2) / 10_000)
    np.testing.assert_allclose(found.interval, [mean - 1.96 * error, mean + 1.96 * error], atol=2e-4)
    points, interval, p = found.row()
    assert (points, p) == ("+1.20", "8.5e-05")
    assert interval.startswith("+0.6")


def test_the_bootstrap_is_that_of_images():
    first, second = rights(40, 4, 12, 24)
    rows = np.random.default_rng(1).integers(0, 80, (20_000, 80))
    means = (second.astype(int) - first)[rows].mean(axis=1)
    np.testing.assert_allclose(difference(first, second).interval, np.quantile(means, (0.025, 0.975)), atol=0.013)


def test_runs_that_agree_on_every_image():
    found = difference(*rights(7, 0, 0, 3))
    assert (found.p, found.interval) == (1, (0, 0))


def predict(run, answers, labels, files=None, content=None):
    logits = np.eye(3, dtype=np.float32)[answers]
    predictions.write(from_logits(logits, np.array(labels, np.int32)), "abc", run.predictions, files)
    run.environment.write_text(json.dumps({"data_sha256": content, "python": "3"}))


def compare(capsys):
    assert vit_runs(["compare", "18-00-00", "18-00-01"]) == 0
    output = capsys.readouterr()
    return [line for line in output.out.splitlines() if "less A" in line], output.err


@pytest.fixture
def two(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [made(f"18-00-0{second}.1-x-vit", ["dataset=digits"], [0.5], test_accuracy=0.5) for second in range(2)]


def test_compare_has_the_difference_in_a_table_of_80_columns(two, capsys):
    predict(two[0], [0, 1, 2, 0], [0, 1, 1, 2])
    predict(two[1], [0, 1, 1, 0], [0, 1, 1, 2])
    ((line,), _) = compare(capsys)
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "B less A, 4 images", "+25.00", "+0.00 to +75.00", "1"
    ]  # fmt: skip
    assert len(line) + len("10,000") <= 80


@pytest.mark.parametrize(
    ("labels", "files", "contents", "same"),
    [
        ([0, 1, 1, 1], None, (None, None), False),
        ([0, 1, 1, 2], None, ("x", "y"), False),
        ([0, 1, 1, 2], (["a", "b", "c", "d"], ["a", "b", "c", "d"]), ("x", "y"), True),
        ([0, 1, 1, 2], (["a", "b", "c", "d"], ["a", "b", "c", "e"]), ("x", "y"), False),
        ([0, 1, 1, 2], (["a", "b", "c", "d"], ["e", "f", "g", "h"]), ("x", "x"), True),
    ],
)
def test_another_test_set_is_said(two, capsys, labels, files, contents, same):
    for run, own, column, content in zip(two, ([0, 1, 1, 2], labels), files or (None, None), contents, strict=True):
        predict(run, [0, 1, 2, 0], own, column, content)
    lines, errors = compare(capsys)
    assert len(lines) == same
    assert ("note: B has another test set, so that the difference is not tested" in errors) is not same
