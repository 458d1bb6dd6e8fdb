"""How fast each trainable variable learns and how much it decays: `optimizer.groups` and `optimizer.layer_decay`."""

import dataclasses
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from vit_train.config.optimizers import AnyOptimizerConfig, MuonConfig, ParameterGroup
from vit_train.errors import ConfigError
from vit_train.models.depth import depths
from vit_train.training.muon import matrix_shape


@dataclass(frozen=True)
class Treatment:
    """How one variable is trained: its multipliers of learning rate and decay, and what gave it them.

    It learns from step `begins` on. `matrix` are the rows and columns as which Muon takes it, `lora` those of a matrix
    that moves by a product of two narrow ones, with their rank.
    """

    variable: Any
    reason: str
    learning_rate: float
    decay: float
    begins: int = 0
    lora: tuple[int, int, int] | None = None
    matrix: tuple[int, int] | None = None


def treatments(options: AnyOptimizerConfig, network: keras.Model, unfreeze_steps: int = 0) -> list[Treatment]:
    """One for each trainable variable of `network`, in their order; blocks begin to learn `unfreeze_steps` apart.

    Raises ConfigError for a pattern that finds no variable, for a decay by layer or Muon where the network has no
    blocks for it, for a rank where there is no matrix that it makes smaller, and if nothing is left to train.
    """
    variables = network.trainable_variables
    for group in options.groups:
        if not any(re.search(group.match, variable.path) for variable in variables):
            raise ConfigError(f"optimizer.groups=[{group}]: finds no variable; paths look like {variables[0].path}")
    found = [_treatment(variable, options.groups) for variable in variables]
    if options.layer_decay is not None or unfreeze_steps:
        found = list(_by_depth(found, options, network, unfreeze_steps))
    if all(each.learning_rate == 0 for each in found):
        raise ConfigError(
            f"optimizer.groups=[{','.join(map(str, options.groups))}]: freezes every variable; leave one to train"
        )
    return list(_with_matrices(found, network)) if isinstance(options, MuonConfig) else found


def _treatment(variable: Any, groups: tuple[ParameterGroup, ...]) -> Treatment:
    learning_rate, decay, adapted = 1.0, 1.0, None
    own = [group for group in groups if re.search(group.match, variable.path)]
    for group in own:
        learning_rate = learning_rate if group.learning_rate is None else group.learning_rate
        decay = decay if group.decay is None else group.decay
        adapted = group if group.lora else adapted
    reason = " and ".join(dict.fromkeys(group.match for group in own)) or "all others"
    if adapted is None or learning_rate == 0:
        return Treatment(variable, reason, learning_rate, decay)
    return Treatment(variable, f"{reason}, LoRA", learning_rate, decay, lora=_low_rank(variable, adapted))


def _low_rank(variable: Any, group: ParameterGroup) -> tuple[int, int, int]:
    matrix, rank = matrix_shape(variable), group.lora
    assert rank is not None
    if matrix is None:
        raise ConfigError(
            f"optimizer.groups=[{group}]: finds {variable.path}, which is no matrix; lora needs a pattern of kernels "
            "only, such as attention/.*/kernel"
        )
    if rank * sum(matrix) >= math.prod(matrix):
        rows, columns = matrix
        raise ConfigError(
            f"optimizer.groups=[{group}]: a rank of {rank} has no fewer parameters than {variable.path} of {rows} x "
            f"{columns}; give a rank of at most {(rows * columns - 1) // (rows + columns)}"
        )
    return (*matrix, rank)


def _by_depth(
    found: list[Treatment], options: AnyOptimizerConfig, network: keras.Model, unfreeze_steps: int
) -> Iterator[Treatment]:
    """The head learns at the full rate and at once, each block and the stem slower than what follows, and later.

    Slower as in BEiT (arXiv 2106.08254), later as in ULMFiT (arXiv 1801.06146, section 3.3).
    """
    depth, layer_decay = depths(network), options.layer_decay
    if not depth:
        key = f"layer_decay={layer_decay:g}" if layer_decay is not None else f"unfreeze='{options.unfreeze}'"
        raise ConfigError(f"optimizer.{key}: this model has no blocks to tell depth by; set it to null")
    head = max(depth.values())
    for each in found:
        place = depth[id(each.variable)]
        name = "stem" if place == 0 else "head" if place == head else f"block {place - 1}"
        rate = each.learning_rate * (1.0 if layer_decay is None else layer_decay) ** (head - place)
        begins = unfreeze_steps * (head - place)
        later = f" from step {begins + 1}" if begins and rate else ""
        yield dataclasses.replace(each, reason=f"{each.reason}, {name}{later}", learning_rate=rate, begins=begins)


def _with_matrices(found: list[Treatment], network: keras.Model) -> Iterator[Treatment]:
    """Muon takes the matrices of the blocks, AdamW what is before and behind them."""
    depth = depths(network)
    inside = range(1, max(depth.values(), default=0))
    mine = [depth.get(id(each.variable)) in inside and each.lora is None for each in found]
    matrices = [matrix_shape(each.variable) if own else None for each, own in zip(found, mine, strict=True)]
    if not any(matrix and each.learning_rate for each, matrix in zip(found, matrices, strict=True)):
        raise ConfigError("optimizer=muon: this model has no matrix to train inside of blocks; use optimizer=adamw")
    for each, matrix in zip(found, matrices, strict=True):
        reason = f"{each.reason}, Muon" if matrix else each.reason
        yield dataclasses.replace(each, reason=reason, matrix=matrix)


def freeze(found: list[Treatment]) -> list[Treatment]:
    """Makes variables whose learning rate is 0 untrainable, so that no gradient is computed; returns the others'."""
    for each in found:
        each.variable.trainable = each.learning_rate > 0
    return [each for each in found if each.learning_rate > 0]


def table(options: AnyOptimizerConfig, found: list[Treatment]) -> Iterator[str]:
    """Lines of variables, parameters, highest learning rate, decay per step and pattern; none if all are alike.

    With LoRA the parameters are those of the narrow matrices. The pattern is last, since it may be longer than a
    terminal is wide.
    """
    rows: dict[tuple[str, float, float], list[int]] = {}
    for each in found:
        size = sum(each.lora[:2]) * each.lora[2] if each.lora else math.prod(each.variable.shape)
        rows.setdefault((each.reason, each.learning_rate, each.decay), []).append(size)
    if len(rows) == 1:
        return
    yield "variables   parameters  learning rate  decay/step  pattern"
    for (pattern, learning_rate, decay), sizes in rows.items():
        rate = options.learning_rate * learning_rate
        per_step = options.weight_decay * decay * (rate if options.decay == "scaled" else learning_rate > 0)
        yield f"{len(sizes):9}  {sum(sizes):11,}  {rate:13.4g}  {per_step:10.3g}  {pattern}"
