"""The schedules of the learning rate."""

import math
from typing import Any

import keras
from keras import ops

from vit_train.config.schema import Config
from vit_train.errors import ConfigError


@keras.saving.register_keras_serializable(package="vit_train")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warmup from 0 to `peak` over `warmup_steps`, then constant or a half cosine down to `final` * `peak`.

    Steps count from 0; the cosine ends at `total_steps` (SGDR without restarts, arXiv 1608.03983).
    """

    def __init__(self, name: str, peak: float, warmup_steps: int, total_steps: int, final: float) -> None:
        self.name, self.peak, self.final = name, peak, final
        self.warmup_steps, self.total_steps = warmup_steps, total_steps

    def multiplier(self, step: Any) -> Any:
        """The fraction of the peak at `step`, float32 in [0, 1]."""
        step = ops.cast(step, "float32")
        value = ops.ones_like(step)
        if self.name == "cosine":
            done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
            cosine = (1 + ops.cos(math.pi * ops.clip(done, 0.0, 1.0))) / 2
            value = self.final + (1 - self.final) * cosine
        if self.warmup_steps:
            value = ops.where(step < self.warmup_steps, step / self.warmup_steps, value)
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
        }


def build_schedule(config: Config, steps_per_epoch: int) -> Schedule:
    """The schedule of a run over config.train.epochs epochs of `steps_per_epoch` steps.

    Raises ConfigError if the warmup is longer than the training.
    """
    total = config.train.epochs * steps_per_epoch
    warmup = config.schedule.warmup.steps(steps_per_epoch)
    if warmup > total:
        raise ConfigError(f"schedule.warmup='{config.schedule.warmup}': is longer than the training of {total} steps")
    return Schedule(config.schedule.name, config.optimizer.learning_rate, warmup, total, config.schedule.final)
