"""A model's variables as arrays and back: weights, seeds of dropout, optimizer slots, running metrics."""

from typing import Any

import keras
import numpy as np

from vit_train.errors import CheckpointError
from vit_train.rundir.checkpoint import Arrays


def model_arrays(model: keras.Model) -> Arrays:
    """Weights, statistics and dropout seeds."""
    return _arrays("model", model.variables)


def all_arrays(model: keras.Model, metrics: list[Any]) -> Arrays:
    """These, the optimizer's slots and `metrics`, the variables that hold those of the running epoch."""
    optimizer = _arrays("optimizer", model.optimizer.variables)
    return {**model_arrays(model), **optimizer, **_arrays("metrics", metrics)}


def assign(arrays: Arrays, *sources: tuple[str, list[Any]]) -> None:
    """Puts arrays back into variables; `sources` are (part, variables), such as ("model", model.variables).

    Raises CheckpointError if they are not those of this model.
    """
    for part, variables in sources:
        for name, variable in _named(part, variables):
            if name not in arrays or arrays[name].shape != tuple(variable.shape):
                raise CheckpointError(f"{name}: has another shape than this model, which another version may have made")
            variable.assign(arrays[name])


def _arrays(part: str, variables: list[Any]) -> Arrays:
    return {name: np.array(keras.ops.convert_to_numpy(variable)) for name, variable in _named(part, variables)}


def _named(part: str, variables: list[Any]) -> list[tuple[str, Any]]:
    # Paths alone may repeat; the number also keeps the order.
    return [(f"{part}/{index:04}/{variable.path}", variable) for index, variable in enumerate(variables)]
