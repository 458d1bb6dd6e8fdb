"""The average of a model's weights over its steps: `train.ema_decay`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from vit_train.models.fused import fused


class Averaged(keras.optimizers.Optimizer):
    """A mixin before a Keras optimizer: keeps the exponential moving average of all trainable variables.

    In step t, counted from 0, an average a of a variable w becomes d * a + (1 - d) * w with
    d = min(ema_decay, (1 + t) / (10 + t)), the warmup of tf.train.ExponentialMovingAverage; None keeps no averages.
    They are part of the optimizer's state, so what keeps a step from it keeps it from them.
    """

    def __init__(self, *arguments: Any, ema_decay: float | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ema_decay = ema_decay
        self.averages: list[Any] = []

    def build(self, variables: list[Any]) -> None:
        super().build(variables)
        if self.ema_decay is not None:
            # Of the matrices themselves, also where LoRA has their steps be those of narrower ones.
            self.averages = [self.add_variable_from_reference(variable, "average") for variable in variables]
            for average, variable in zip(self.averages, variables, strict=True):
                average.assign(_array(variable))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        super().update_step(gradient, variable, learning_rate)
        if self.ema_decay is not None:
            average = self.averages[self._get_variable_index(variable)]
            step = ops.cast(self.iterations, "float32")
            new = 1 - ops.minimum(self.ema_decay, (1 + step) / (10 + step))
            self.assign(average, _nearer(ops.cast(average, "float32"), ops.cast(variable, "float32"), new))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ema_decay": self.ema_decay}


@fused
def _nearer(average: Any, w: Any, new: Any) -> Any:
    return average + (w - average) * new


@contextmanager
def averaged(model: keras.Model, sync: Callable[[], None]) -> Iterator[None]:
    """While entered, the model has the averages in place of its weights, if its optimizer keeps any.

    Whatever ends it, the weights come back. What is not trained stays as it is: statistics of batch normalisation are
    moving averages already. `sync` brings the backend's state back into the model's variables.
    """
    optimizer = model.optimizer
    if optimizer.ema_decay is None:
        yield
        return
    weights, averages = ([_array(each) for each in part] for part in (model.trainable_variables, optimizer.averages))
    try:
        _assign(model, averages)
        yield
    finally:
        sync()
        _assign(model, weights)


def _array(variable: Any) -> np.ndarray:
    """A copy on the host: on JAX, two variables with one buffer cannot both be given to a step, which reuses them."""
    return np.array(ops.convert_to_numpy(variable))


def _assign(model: keras.Model, values: list[np.ndarray]) -> None:
    for variable, value in zip(model.trainable_variables, values, strict=True):
        variable.assign(value)
