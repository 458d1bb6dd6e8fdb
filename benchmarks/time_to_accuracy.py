"""How long a recipe trains until its validation accuracy passes a mark: the table of docs/results.md on that.

Of recipes, the seconds and operations up to the end of the first epoch that passes, by the runs in results.json. The
baseline needs the epochs of its published curve, at the speed that a plain Keras script has here and now.
"""

import dataclasses
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks import page
from benchmarks.interleave import interleave
from benchmarks.reproduce import ROWS
from vit_train.config.compose import load_config
from vit_train.config.schema import Config
from vit_train.machine import backend
from vit_train.runs.references import load_reference

BEGIN = "<!-- written by make bench-accuracy -->"
MARKS = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
RECIPES = ("fast_8_epochs", "fast", "compact")
BASELINE = "keras_io_2021"
IMAGES = 45_000  # of CIFAR-100, that are trained with in all of these
DOCS = Path("docs")


def main() -> int:
    rows, measured = yaml.safe_load(ROWS.read_text()), json.loads((DOCS / "results.json").read_text())
    lines = [f"| trained | | {' | '.join(f'{mark:.0%}' for mark in MARKS)} |", f"| :-- | :-- |{' --: |' * len(MARKS)}"]
    for name in RECIPES:
        runs = [each["epochs"] for each in measured if each["row"] == name and "seconds" in each["epochs"][0]]
        if runs:
            lines += _of_recipe(name, load_config(rows[name]["arguments"].split()), runs)
    lines += _of_baseline()
    page.write_between_marks(DOCS / "results.md", BEGIN, "\n".join(lines))
    return 0


def _of_recipe(name: str, config: Config, runs: Sequence[Sequence[dict[str, Any]]]) -> list[str]:
    """Two lines: the median over the runs of minutes, and of operations; of the marks that all of them pass."""
    low, early = config.train.low_resolution or config.model.image_size, config.train.low_resolution_epochs
    costs = {size: training_flop(config, size) for size in {low, config.model.image_size}}
    sizes = [low] * early + [config.model.image_size] * config.train.epochs
    minutes: list[float] = []
    flop: list[float] = []
    for mark in MARKS:
        passed = [epoch for run in runs if (epoch := epoch_of([each["val_accuracy"] for each in run], mark))]
        if len(passed) < len(runs):
            break
        ends = [sum(each["seconds"] for each in run[:epoch]) for run, epoch in zip(runs, passed, strict=True)]
        minutes.append(statistics.median(ends) / 60)
        flop.append(statistics.median(IMAGES * sum(costs[size] for size in sizes[:epoch]) for epoch in passed))
    return _lines(f"`{name}`, {len(runs)} seed{'s' if len(runs) > 1 else ''}", minutes, flop)


def _of_baseline() -> list[str]:
    """The same of the published curve of the baseline, at the speed of a plain Keras script."""
    script = [sys.executable, "-m", "benchmarks.plain_keras", "--backend=tensorflow", "--precision=float32"]
    (found,) = interleave({"Keras": [*script, "--batch-size=256", "--steps=2"]}, rounds=5)
    if found["failed"]:
        raise RuntimeError(f"the plain Keras script: {found['failed']}")
    config = load_config([f"experiment={BASELINE}"])
    cost = training_flop(config, config.model.image_size)
    epoch = IMAGES * statistics.median(found["seconds"]) / found["images"]
    curve = load_reference(BASELINE).rows  # not of every epoch
    places = [epoch_of([each["val_accuracy"] for each in curve], mark) for mark in MARKS]
    passed = [curve[place - 1]["epoch"] for place in places if place]
    minutes, flop = [each * epoch / 60 for each in passed], [each * IMAGES * cost for each in passed]
    return _lines(f"`{BASELINE}` as a plain Keras script, extrapolated", minutes, flop)


def _lines(what: str, minutes: Sequence[float], flop: Sequence[float]) -> list[str]:
    """The lines of the table for what was spent until each mark, of which the last may not be passed."""
    blank = [""] * (len(MARKS) - len(minutes))
    times = [f"{each:.1f}" if each < 100 else f"{each:,.0f}" for each in minutes]
    costs = [f"{each:.1e}" for each in flop]
    return [f"| {what} | minutes | {' | '.join(times + blank)} |", f"| | FLOP | {' | '.join(costs + blank)} |"]


def epoch_of(accuracies: Sequence[float], mark: float) -> int | None:
    """The first epoch, from 1, whose accuracy is `mark` or more."""
    return next((epoch for epoch, accuracy in enumerate(accuracies, 1) if accuracy >= mark), None)


def training_flop(config: Config, size: int) -> float:
    """Floating-point operations to train with one image of `size` pixels: three times those of the way to its logits.

    A multiplication and an addition are two. They are counted by XLA in the program as it is before it is compiled.
    """
    backend.configure(load_config(["compute.backend=jax", "compute.devices=cpu", "compute.kernels=keras"]).compute, 0)
    import jax
    import numpy as np

    from vit_train.models.build import build_model

    network = build_model(dataclasses.replace(config.model, image_size=size), 100, config.head, IMAGES, 3)
    images = np.zeros((1, size, size, 3), np.float32)
    state = [[each.value for each in part] for part in (network.trainable_variables, network.non_trainable_variables)]
    lowered = jax.jit(lambda *state: network.stateless_call(*state, images)[0]).lower(*state)
    return 3 * float(lowered.cost_analysis()["flops"])


if __name__ == "__main__":
    sys.exit(main())
