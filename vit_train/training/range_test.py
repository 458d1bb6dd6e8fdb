"""The learning-rate range test (Smith, arXiv 1506.01186): one training at a rate that grows from step to step."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from vit_train.config.schema import Config
from vit_train.console import doing
from vit_train.data.pipeline import data_errors, training_batches
from vit_train.machine import backend
from vit_train.training.prepare import Prepared, prepare
from vit_train.training.schedule import Schedule

# The loss has diverged when its running mean is this many times its lowest, as fastai has it, and at half of the
# first: where a loss of 0.1 is reached, 0.4 is no more than an unlucky batch.
_DIVERGED = 4
_MEMORY = 0.9  # of the running mean


@keras.saving.register_keras_serializable(package="vit_train")
class Rising(Schedule):
    """From `first` at step 0 exponentially to `last` at step `steps` - 1.

    To the optimizer each step is one of a constant schedule at that rate: `multiplier` is 1, so that a decay which is
    `independent` of the rate is at every step what a training at this rate would have.
    """

    def __init__(self, first: float, last: float, steps: int) -> None:
        super().__init__("constant", first, 0, steps, 1.0)
        self.last = last
        self.growth = math.log(last / first) / max(1, steps - 1)

    def __call__(self, step: Any) -> Any:
        return self.peak * ops.exp(self.growth * ops.cast(step, "float32"))

    def get_config(self) -> dict[str, Any]:
        return {"first": self.peak, "last": self.last, "steps": self.total_steps}


def measure(
    config: Config, first: float, last: float, steps: int, seen: Callable[[int, float, float], None]
) -> list[tuple[float, float]]:
    """(learning rate, loss of the batch before its step) of each step of a new model, until the loss diverges.

    `seen` gets the number of steps that are done, the learning rate and the loss of the latest. The process must have
    been set up by `backend.configure`. Multipliers of optimizer.groups hold, warmup and schedule do not. Raises
    ConfigError, DataError and OutOfMemory.
    """
    # Mixing and what else is for some epochs must not end in the midst of it.
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=config.train.epochs + steps))
    prepared = prepare(config)
    rising = Rising(first, last, steps)
    prepared.model.optimizer.learning_rate = rising
    watcher = _Watcher(rising, seen)
    with backend.memory_errors_explained(config), data_errors(), prepared.devices.scope():
        model, batches = _in_training(prepared, config, steps)
        doing("compiling the first step")
        # An epoch of one step each: then the loss that Keras tells is that of a batch, and no mean over earlier ones.
        model.fit(batches, steps_per_epoch=1, epochs=steps, verbose=0, shuffle=False, callbacks=[watcher])
    return watcher.points


def _in_training(prepared: Prepared, config: Config, steps: int) -> tuple[keras.Model, Any]:
    if prepared.cached:
        prepared.cached.compute(lambda: None)  # there is no state to save before a signal ends the process
        return prepared.cached.tail, prepared.cached.training_batches(0, steps)
    batches = training_batches(prepared.training, config, 0, steps, part=prepared.devices.part)
    return prepared.model, batches


class _Watcher(keras.callbacks.Callback):
    """Notes the loss of each step, and ends the training once it diverges."""

    def __init__(self, rising: Rising, seen: Callable[[int, float, float], None]) -> None:
        super().__init__()
        self.rising, self.seen = rising, seen
        self.points: list[tuple[float, float]] = []
        self.sum, self.weight, self.first, self.lowest = 0.0, 0.0, 0.0, math.inf

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        rate, loss = float(self.rising(epoch)), float(logs["loss"])
        if not math.isfinite(loss):
            self.model.stop_training = True
            return
        self.points.append((rate, loss))
        self.seen(epoch + 1, rate, loss)
        self.sum, self.weight = _MEMORY * self.sum + loss, _MEMORY * self.weight + 1
        mean = self.sum / self.weight
        self.lowest, self.first = min(self.lowest, mean), self.first or mean
        self.model.stop_training = mean > max(_DIVERGED * self.lowest, self.first / 2)
