"""The benchmarks run, and say what they measured. Nothing here depends on a time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import performance
from benchmarks.comparisons import PARTS
from benchmarks.interleave import interleave
from benchmarks.measures import ratios, slope
from benchmarks.quick import verdict

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_ours_and_plain_keras_take_turns_on_the_same_network(tmp_path):
    command = [sys.executable, "-m", "benchmarks.bench", "throughput", "--quick", "--folder", str(tmp_path)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    measured = json.loads((tmp_path / "throughput.json").read_text())
    ours, keras, torch = measured["groups"][0]["results"]
    assert torch["failed"] in (None, "not installed")
    for each in (ours, keras):
        assert (each["failed"], each["images"], len(each["seconds"])) == (None, 8, 1)
        assert 0 < each["seconds"][0] < each["first_step"]
        assert each["peak_mib"] > 200
    assert ours["facts"]["parameters"] == keras["facts"]["parameters"]
    assert "| batch 8, one block | vit-train, float32 |" in printed
    assert "quick form, which measures nothing" in printed
    assert printed.strip() in (tmp_path / "performance.md").read_text()
    assert (tmp_path / "performance-throughput.png").stat().st_size > 1000


COUNTED = """
from benchmarks.roofline import RECIPES, operations, training_flops
from vit_train.config.compose import load_config
for recipe, whole in training_flops().items():
    arguments, batch, _ = RECIPES[recipe]
    depth = load_config(arguments.split()).model.depth
    print(3 * depth * sum(each.flop for each in operations(recipe, "float32")) / batch / whole)
"""


@pytest.mark.slow
def test_the_roofline_has_most_of_the_operations_that_xla_counts():
    command = [sys.executable, "-c", COUNTED]
    shares = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert len(shares) == 4
    assert all(0.8 < float(share) < 1 for share in shares)  # stem, norms and head are not in it


WORKER = """
from benchmarks import turns
turns.first_step_done()
print("between replies")
turns.warm(10, library="none")
turns.serve(lambda: None)
"""


def test_one_that_fails_does_not_stop_the_others():
    commands = {"good": WORKER, "bad": "1 / 0", "worse": WORKER.replace("lambda: None", "lambda: 1 / 0")}
    programs = {name: [sys.executable, "-c", code] for name, code in commands.items()}
    good, bad, worse, absent = interleave(programs | {"absent": ["/nowhere/python"]}, rounds=3)
    assert (good["failed"], good["images"], len(good["seconds"])) == (None, 10, 3)
    assert good["facts"] == {"library": "none"}
    assert bad["failed"] == worse["failed"] == "ZeroDivisionError: division by zero"
    assert absent["failed"] == "not installed"
    assert performance.cells(absent, ratios(absent, good))[0] == "failed: not installed"


def test_ratios_are_of_images_per_second_round_by_round():
    ours, theirs = {"images": 100, "seconds": [1.0, 2.0]}, {"images": 50, "seconds": [1.0, 1.5]}
    assert ratios(theirs, ours) == [2.0, 1.5]


def test_a_slope_is_the_exponent():
    assert slope([1, 2, 8], [3.0, 12.0, 192.0]) == pytest.approx(2)


def result(name, **values):
    base = {"contender": str(name), "images": 32, "seconds": [0.1, 0.2, 0.3], "peak_mib": 1024.0, "first_step": 5.0}
    return {**base, "facts": {}, "failed": None, **values}


def test_growth_is_said_in_sentences():
    group = {"title": "depth", "steps": 2, "results": [result(n, seconds=[n / 10] * 3) for n in (2, 4)]}
    assert performance.sentence(group) == (
        "depth 2 to 4: time as depth^1.00 (at the end ^1.00), memory as depth^0.00 (at the end ^0.00); "
        "a step takes 0.1 to 0.2 s, with at most 1 to 1 GiB"
    )
    group = {"title": "images", "steps": 1, "results": [result(10), result(20, failed="killed")]}
    assert performance.sentence(group) == "images: killed"


@pytest.mark.parametrize("part", PARTS)
def test_quick_has_the_kinds_of_the_whole(part):
    whole, quick = PARTS[part](False), PARTS[part](True)
    for group in [*whole, *quick]:
        assert len(set(map(tuple, group.commands.values()))) == len(group.commands)
    modules = [{command[2] for group in groups for command in group.commands.values()} for groups in (whole, quick)]
    assert modules[0] == modules[1]


def test_a_difference_is_only_said_where_the_interval_leaves_no_doubt():
    # Three ratios of 1.1 times 0.98, 1 and 1.02: a half of the interval is 4.303 * 0.02 / sqrt(3) in the logarithm.
    ours, theirs = [1.0, 2.0, 1.0], [1.1 * 0.98, 2.2, 1.1 * 1.02]
    assert verdict(ours, theirs) == "1.10 times as fast, 1.05 to 1.16: faster"
    assert verdict(theirs, ours) == "0.91 times as fast, 0.87 to 0.96: slower"
    assert verdict([1.0, 1.0, 1.0], [1.3, 1.0, 1.1]).endswith(": no difference seen")


@pytest.mark.slow
def test_two_checkouts_take_turns():
    command = [sys.executable, "-m", "benchmarks.quick", ".", "fast, 24", "--rounds", "2"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.startswith("fast, 24 pixels ")
    assert " times as fast, " in printed
