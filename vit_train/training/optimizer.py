"""AdamW with both conventions of weight decay, and the schedules of its learning rate."""

import math
import re
from typing import Any

import keras
import numpy as np
from keras import ops

from vit_train.config.schema import Config, OptimizerConfig
from vit_train.errors import ConfigError
from vit_train.models.fused import fused
from vit_train.training.guard import GuardedAdamW

register = keras.saving.register_keras_serializable(package="vit_train")


@register
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


@register
class AdamW(GuardedAdamW):
    """Adam with decoupled weight decay (arXiv 1711.05101). Before each Adam step, a weight w becomes

    decay="scaled":       w - weight_decay * learning_rate(step) * w    Keras 3, PyTorch
    decay="independent":  w - weight_decay * multiplier(step) * w       tensorflow-addons

    where multiplier is the schedule's fraction of its peak: 1 when constant, and else what the documentation of
    tensorflow-addons asks its users to schedule by hand (the paper's eta). At a learning rate of 1e-3, the same
    `weight_decay` is a thousand times stronger when independent.
    """

    def __init__(
        self, learning_rate: Schedule, *, decay: str, beta_1: float = 0.9, beta_2: float = 0.999, **kwargs: Any
    ) -> None:
        if decay == "independent":
            # tensorflow-addons takes 1 - beta and beta**t of the same float32. Keras 3 takes the former in float64, and
            # its bias correction is off by up to 7e-6 for it; rounded first, the two libraries agree but for rounding.
            beta_1, beta_2 = float(np.float32(beta_1)), float(np.float32(beta_2))
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, **kwargs)
        self.decay = decay

    @property
    def schedule(self) -> Schedule:
        """The schedule of the learning rate."""
        schedule: Schedule = self._learning_rate
        return schedule

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        pass  # see update_step

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Keras' own and the decay before it, in one pass over memory."""
        place = self._get_variable_index(variable)
        state = variable, self._momentums[place], self._velocities[place]
        step = ops.cast(self.iterations + 1, "float32")
        rate = ops.cast(learning_rate, "float32")
        first, second = (1 - ops.power(ops.cast(beta, "float32"), step) for beta in (self.beta_1, self.beta_2))
        decay = self.weight_decay * (rate if self.decay == "scaled" else self.schedule.multiplier(self.iterations))
        new = _adam(
            gradient,
            *(ops.cast(each, "float32") for each in state),
            ops.cast(decay if self._use_weight_decay(variable) else 0, "float32"),
            rate * ops.sqrt(second) / first,
            (1 - self.beta_1, 1 - self.beta_2, self.epsilon),
        )
        for each, value in zip(state, new, strict=True):
            self.assign(each, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "decay": self.decay}


@fused
def _adam(gradient: Any, w: Any, m: Any, v: Any, decay: Any, rate: Any, constants: tuple[float, float, float]) -> Any:
    """The next weights and moments; `rate` is the learning rate without the bias of the moments."""
    share_1, share_2, epsilon = constants
    m = m + (gradient - m) * share_1
    v = v + (ops.square(gradient) - v) * share_2
    w = w - w * decay
    return w - m * rate / (ops.sqrt(v) + epsilon), m, v


def build_optimizer(config: Config, network: keras.Model, steps_per_epoch: int) -> AdamW:
    """The optimizer of a run over config.train.epochs epochs of `steps_per_epoch` steps.

    Raises ConfigError if the warmup is longer than the training or a pattern of optimizer.exclude finds no variable.
    """
    total = config.train.epochs * steps_per_epoch
    warmup = config.schedule.warmup.steps(steps_per_epoch)
    if warmup > total:
        raise ConfigError(f"schedule.warmup='{config.schedule.warmup}': is longer than the training of {total} steps")
    options = config.optimizer
    optimizer = AdamW(
        Schedule(config.schedule.name, options.learning_rate, warmup, total, config.schedule.final),
        decay=options.decay,
        weight_decay=options.weight_decay,
        beta_1=options.beta_1,
        beta_2=options.beta_2,
        epsilon=options.epsilon,
        global_clipnorm=options.clip_norm,
        nonfinite_steps_allowed=config.train.skip_nonfinite_steps,
    )
    optimizer.exclude_from_weight_decay(var_list=excluded_variables(options, network))
    return optimizer


def excluded_variables(options: OptimizerConfig, network: keras.Model) -> list[Any]:
    """The trainable variables whose path one of the patterns of optimizer.exclude finds."""
    variables = network.trainable_variables
    for pattern in options.exclude:
        if not any(re.search(pattern, variable.path) for variable in variables):
            raise ConfigError(f"optimizer.exclude=[{pattern}]: finds no variable; paths look like {variables[0].path}")
    return [variable for variable in variables if any(re.search(p, variable.path) for p in options.exclude)]
