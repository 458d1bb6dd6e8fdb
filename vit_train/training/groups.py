"""How fast each trainable variable learns and how much it decays: `optimizer.groups`."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from vit_train.config.optimizers import AnyOptimizerConfig, ParameterGroup
from vit_train.errors import ConfigError


@dataclass(frozen=True)
class Treatment:
    """How one variable is trained: the patterns that find it, and its multipliers of learning rate and decay."""

    variable: Any
    patterns: tuple[str, ...]
    learning_rate: float
    decay: float


def treatments(options: AnyOptimizerConfig, network: keras.Model) -> list[Treatment]:
    """One for each trainable variable of `network`, in their order.

    Raises ConfigError for a pattern that finds no variable, and if nothing is left to train.
    """
    variables = network.trainable_variables
    for group in options.groups:
        if not any(re.search(group.match, variable.path) for variable in variables):
            raise ConfigError(f"optimizer.groups=[{group}]: finds no variable; paths look like {variables[0].path}")
    found = [_treatment(variable, options.groups) for variable in variables]
    if all(each.learning_rate == 0 for each in found):
        raise ConfigError(
            f"optimizer.groups=[{','.join(map(str, options.groups))}]: freezes every variable; leave one to train"
        )
    return found


def _treatment(variable: Any, groups: tuple[ParameterGroup, ...]) -> Treatment:
    learning_rate, decay = 1.0, 1.0
    own = [group for group in groups if re.search(group.match, variable.path)]
    for group in own:
        learning_rate = learning_rate if group.learning_rate is None else group.learning_rate
        decay = decay if group.decay is None else group.decay
    return Treatment(variable, tuple(group.match for group in own), learning_rate, decay)


def freeze(found: list[Treatment]) -> list[Treatment]:
    """Makes variables whose learning rate is 0 untrainable, so that no gradient is computed; returns the others'."""
    for each in found:
        each.variable.trainable = each.learning_rate > 0
    return [each for each in found if each.learning_rate > 0]


def table(options: AnyOptimizerConfig, found: list[Treatment]) -> Iterator[str]:
    """Lines of pattern, variables, parameters, highest learning rate and decay per step; none if all are alike."""
    rows: dict[tuple[str, float, float], list[Any]] = {}
    for each in found:
        row = " and ".join(each.patterns) or "all others", each.learning_rate, each.decay
        rows.setdefault(row, []).append(each.variable)
    if len(rows) == 1:
        return
    width = max(len(pattern) for pattern, _, _ in rows)
    yield f"{'pattern':<{width}}  variables   parameters  learning rate  decay per step"
    for (pattern, learning_rate, decay), variables in rows.items():
        parameters = sum(math.prod(variable.shape) for variable in variables)
        rate = options.learning_rate * learning_rate
        per_step = options.weight_decay * decay * (rate if options.decay == "scaled" else learning_rate > 0)
        yield f"{pattern:<{width}}  {len(variables):9}  {parameters:11,}  {rate:13.4g}  {per_step:14.4g}"
