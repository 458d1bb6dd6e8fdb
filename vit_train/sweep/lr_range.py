"""The learning-rate finder, `vit-train -m sweep=lr_range`: one training at a growing rate, a figure, a suggestion."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from vit_train.config.compose import load_config, parse
from vit_train.config.schema import Config, SweepConfig
from vit_train.console import print_table, put, say
from vit_train.errors import CheckpointError, ConfigError
from vit_train.files import replace_file
from vit_train.machine import backend
from vit_train.report import canvas
from vit_train.rundir.layout import new_folder
from vit_train.sweep.suggestion import CHOSEN, RULES, Curve, learns, smoothed
from vit_train.text import command, setting

_SAID = 10  # lines in the course of it


def run(overrides: Sequence[str], file: str | None, options: SweepConfig) -> int:
    """Trains `options.lr_range` steps and returns the exit code; the last line on stdout is the folder with the files.

    Raises ConfigError for what a finder cannot do, and makes nothing then or if training cannot start.
    """
    _require_one_training(overrides, options)
    config, steps = load_config(overrides, file), options.lr_range or 0
    backend.require_installed(config.compute)
    backend.configure(config.compute, config.seed)
    from vit_train.training.range_test import measure  # imports Keras

    say(f"{config.model.name} on {config.dataset.name} with {config.optimizer.name}: {steps} steps at learning rates "
        f"from {options.lr_from:g} to {options.lr_to:g}")  # fmt: skip

    def seen(step: int, rate: float, loss: float) -> None:
        if step % -(-steps // _SAID) == 0:
            say(f"step {step:>{len(str(steps))}}/{steps}: learning rate {rate:.1e}, loss {loss:.3f}")

    points = measure(config, options.lr_from, options.lr_to, steps, seen)
    if len(points) < steps:
        say(f"the loss has diverged at learning rate {points[-1][0]:.1e}" if points else "the first loss is not finite")
    curve = smoothed(points) if points else None
    found = {name: rule(curve) for name, rule in RULES.items()} if curve and learns(curve) else {}
    folder = new_folder(config.outputs, f"{config.dataset.name}-{config.model.name}-lr_range")
    try:
        _write(folder, points, curve, found, overrides, file, config)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written to ({error.strerror})") from error
    _show(found, overrides, file)
    put(str(folder))
    return 0


def _require_one_training(overrides: Sequence[str], options: SweepConfig) -> None:
    instead = f"sweep.lr_range={options.lr_range}: is one training on this machine"
    for text in overrides:
        if parse(text, several=True).is_sweep_override():
            raise ConfigError(f"{instead}, and {text} varies; give one value")
    for name, given in (
        ("trials", options.trials is not None), ("resume", options.resume is not None),
        ("launcher", options.launcher.name != "local"),
    ):  # fmt: skip
        if given:
            raise ConfigError(f"{instead}; leave out sweep.{name}")


def _write(
    folder: Path, points: Sequence[tuple[float, float]], curve: Curve | None, found: dict[str, float],
    overrides: Sequence[str], file: str | None, config: Config,
) -> None:  # fmt: skip
    """The points as CSV, what they say as JSON, and the figure, if there is anything to draw."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "learning_rate", "loss", "smoothed"])
    losses = curve.losses.tolist() if curve else []
    for step, ((rate, loss), smooth) in enumerate(zip(points, losses, strict=True)):
        writer.writerow([step, rate, loss, smooth])
    replace_file(folder / "lr_range.csv", text.getvalue())
    facts: dict[str, Any] = {
        "version": 1,
        "suggestion": found.get(CHOSEN),
        "rules": found,
        "overrides": list(overrides),
    }
    facts |= {"config": file, "optimizer": config.optimizer.name, "seed": config.seed}
    replace_file(folder / "lr_range.json", json.dumps(facts, indent=2) + "\n")
    if curve:
        canvas.save(lambda: draw(points, curve, found), folder / "lr_range.png")


def _show(found: dict[str, float], overrides: Sequence[str], file: str | None) -> None:
    if not found:
        say("the loss never fell, so there is no suggestion; lower sweep.lr_from, or see whether the model can learn")
        return
    print_table(["rule", "learning rate"], [[name, f"{rate:.2g}"] for name, rate in found.items()], ruled=False)
    rest = [text for text in overrides if parse(text).key_or_group != "optimizer.learning_rate"]
    config = ["--config", file] if file else []
    rate = setting("optimizer.learning_rate", f"{found[CHOSEN]:.2g}")
    say(f"suggested by the rule {CHOSEN}: {command(*config, *rest, rate)}")


def draw(points: Sequence[tuple[float, float]], curve: Curve, found: dict[str, float]) -> Figure:
    """Loss over learning rate, as it was and smoothed, with what each rule suggests."""
    figure = canvas.figure("Loss as the learning rate grows", 7, 4)
    axes = figure.subplots()
    axes.semilogx(*zip(*points, strict=True), ".", color=canvas.GREY, markersize=3, label="a batch")
    axes.semilogx(curve.rates, curve.losses, color=canvas.BLUE, linewidth=1.5, label="smoothed")
    for (name, rate), line in zip(found.items(), ("-", "--", ":", "-."), strict=False):
        colour, width = (canvas.ORANGE, 1.8) if name == CHOSEN else (canvas.GREY, 1.2)
        label = f"{name}: {rate:.2g}" + (", suggested" if name == CHOSEN else "")
        axes.axvline(rate, color=colour, linestyle=line, linewidth=width, label=label)
    # A loss that diverges would leave no room for the rest.
    top = max(curve.losses[0], max(curve.losses[: curve.losses.argmin() + 1]))
    low = float(curve.losses.min())
    axes.set_ylim(low - 0.1 * (top - low) - 1e-6, top + 0.35 * (top - low) + 1e-6)
    axes.set(xlabel="learning rate, logarithmic", ylabel="cross-entropy in nats")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(axis="y")
    axes.legend(loc="lower left")
    return figure
