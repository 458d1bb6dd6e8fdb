"""The schedules of the learning rate."""

import math
from typing import Any

import keras
from keras import ops

from vit_train.config.schema import Config
from vit_train.errors import ConfigError


@keras.saving.register_keras_serializable(package="vit_train")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A warmup from `initial` * `peak` to `peak` over `warmup_steps`, then a fall to `final` * `peak` at `total_steps`.

    Steps count from 0. With x the fraction of the steps after the warmup that are done, the fall is none (constant),
    half a cosine in x (cosine: SGDR without restarts, arXiv 1608.03983; one_cycle: arXiv 1708.07120 as PyTorch has it),
    linear in x (linear), or linear over the last `cooldown_steps` (trapezoid: "warmup, stable, decay", arXiv
    2404.06395). The warmup of one_cycle is half a cosine, too, all others are linear.
    """

    def __init__(
        self,
        name: str,
        peak: float,
        warmup_steps: int,
        total_steps: int,
        final: float,
        initial: float = 0.0,
        cooldown_steps: int = 0,
    ) -> None:
        self.name, self.peak, self.initial, self.final = name, peak, initial, final
        self.warmup_steps, self.cooldown_steps, self.total_steps = warmup_steps, cooldown_steps, total_steps

    def multiplier(self, step: Any) -> Any:
        """The fraction of the peak at `step`, float32 in [0, 1]."""
        step = ops.cast(step, "float32")
        value = ops.ones_like(step)
        if self.name != "constant":
            falling = self.cooldown_steps if self.name == "trapezoid" else self.total_steps - self.warmup_steps
            done = (step - (self.total_steps - falling)) / max(1, falling)
            done = ops.clip(done, 0.0, 1.0)
            left = (1 + ops.cos(math.pi * done)) / 2 if self.name in ("cosine", "one_cycle") else 1 - done
            value = self.final + (1 - self.final) * left
        if self.warmup_steps:
            risen = step / self.warmup_steps
            if self.name == "one_cycle":
                risen = (1 - ops.cos(math.pi * risen)) / 2
            value = ops.where(step < self.warmup_steps, self.initial + (1 - self.initial) * risen, value)
        return value

    def __call__(self, step: Any) -> Any:
        return self.peak * self.multiplier(step)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "final": self.final,
            "initial": self.initial,
            "cooldown_steps": self.cooldown_steps,
        }


def build_schedule(config: Config, steps_per_epoch: int) -> Schedule:
    """The schedule of a run over config.train.epochs epochs of `steps_per_epoch` steps.

    Raises ConfigError if warmup and cooldown are longer than the training.
    """
    options, total = config.schedule, config.train.epochs * steps_per_epoch
    warmup, cooldown = (each.steps(steps_per_epoch, config.train.epochs) for each in (options.warmup, options.cooldown))
    if warmup > total:
        raise ConfigError(f"schedule.warmup='{options.warmup}': is longer than the training of {total} steps")
    if warmup + cooldown > total:
        raise ConfigError(
            f"schedule.cooldown='{options.cooldown}': is longer than the {total - warmup} steps after the warmup"
        )
    peak = config.optimizer.learning_rate
    return Schedule(options.name, peak, warmup, total, options.final, options.initial, cooldown)
