"""The keys of each optimizer; `name` says which one they are for, and conf/optimizer/NAME.yaml has their values."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from vit_train.config.convert import key, show
from vit_train.config.durations import Duration
from vit_train.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ParameterGroup:
    """The trainable variables whose path `match` finds; null leaves a property as it is without the group."""

    WORDS: ClassVar[str] = "a PATTERN or {match: PATTERN, learning_rate: NUMBER, decay: NUMBER, lora: RANK}"

    match: str
    learning_rate: float | None = None
    decay: float | None = None
    lora: int | None = None

    @classmethod
    def parse(cls, raw: object) -> "ParameterGroup":
        """Reads a mapping of `match` and multipliers >= 0 or a rank >= 1; a pattern alone is not decayed.

        Raises ValueError for anything else.
        """
        if isinstance(raw, str):
            return cls(match=raw, decay=0)
        if not isinstance(raw, dict) or not isinstance(raw.get("match"), str) or len(raw) < 2:
            raise ValueError("must be a mapping")
        if not set(raw) <= {"match", "learning_rate", "decay", "lora"}:
            raise ValueError("has an unknown key")
        for value in (raw.get("learning_rate"), raw.get("decay")):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0):
                raise ValueError("has a multiplier that is no number of at least 0")
        rank = raw.get("lora")
        if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or rank < 1):
            raise ValueError("has a rank that is no whole number of at least 1")
        return cls(**raw)

    def __str__(self) -> str:
        plain = re.fullmatch(r"[\w/.|*+$?-]+", self.match)  # what the command line takes without quotes
        values = {"learning_rate": self.learning_rate, "decay": self.decay}
        properties = [f"{name}:{show(float(value))}" for name, value in values.items() if value is not None]
        properties += [f"lora:{self.lora}"] if self.lora else []
        pattern = self.match if plain else repr(self.match)
        return pattern if properties == ["decay:0"] else f"{{{','.join([f'match:{pattern}', *properties])}}}"


@dataclass(frozen=True, kw_only=True)
class AnyOptimizerConfig:
    """What every optimizer has."""

    name: str = key("the update rule")
    learning_rate: float = key("highest learning rate of the schedule", above=0)
    weight_decay: float = key("strength of the weight decay; its unit is set by decay", minimum=0)
    decay: Literal["independent", "scaled"] = key(
        "per step a weight loses weight_decay (as tensorflow-addons) or weight_decay * learning rate (Keras) of itself"
    )
    groups: tuple[ParameterGroup, ...] = key(
        "regular expressions; a variable whose path one of them finds is not decayed, or with "
        "{match:PATTERN,learning_rate:X,decay:Y} learns X times as fast (0 freezes it) and decays Y times as much; "
        "with lora:RANK a matrix moves only by a product of two narrow ones (LoRA); of several, the last one counts",
        was="exclude",
    )
    layer_decay: float | None = key(
        "a block learns this many times as fast as the next one, the head at the full learning rate; null is off",
        absent=None,
        above=0,
        maximum=1,
    )
    unfreeze: Duration | None = key(
        "training after which one more block learns, from the last to the first, then the stem, while the head learns "
        "from the start; '1 epoch' is as in ULMFiT, null has all learn at once",
        absent=None,
    )
    clip_norm: float | None = key("largest norm of all gradients together; null does not clip", above=0)

    @property
    def decay_per_step(self) -> float:
        """The fraction of itself that a weight loses per step at the highest learning rate."""
        return self.weight_decay * (self.learning_rate if self.decay == "scaled" else 1)

    def __post_init__(self) -> None:
        if self.unfreeze is not None and (self.unfreeze.unit == "minute" or self.unfreeze.value == 0):
            raise ConfigError(
                f"optimizer.unfreeze='{self.unfreeze}': must be steps (500), epochs ('1 epoch') or % ('10 %'), above 0"
            )
        for group in self.groups:
            try:
                re.compile(group.match)
            except re.error as error:
                raise ConfigError(f"optimizer.groups=[{group}]: is not a regular expression: {error}") from None


@dataclass(frozen=True, kw_only=True)
class AdamWConfig(AnyOptimizerConfig):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"] = key("the update rule", absent="adamw")
    beta_1: float = key("fraction of the old mean of gradients kept per step", minimum=0, below=1)
    beta_2: float = key("fraction of the old mean of squared gradients kept per step", minimum=0, below=1)
    epsilon: float = key("added to the root of the mean squared gradient", above=0)


@dataclass(frozen=True, kw_only=True)
class SGDConfig(AnyOptimizerConfig):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = key("the update rule")
    momentum: float = key("fraction of the last step that the next one keeps", minimum=0, below=1)
    nesterov: bool = key("whether momentum looks one step ahead (Nesterov)")


@dataclass(frozen=True, kw_only=True)
class MuonConfig(AnyOptimizerConfig):
    """Muon for the matrices of the blocks, AdamW for all else."""

    name: Literal["muon"] = key("the update rule")
    momentum: float = key("fraction of a matrix' old mean of gradients kept per step", minimum=0, below=1)
    beta_1: float = key("for AdamW, the fraction of the old mean of gradients kept per step", minimum=0, below=1)
    beta_2: float = key(
        "for AdamW, the fraction of the old mean of squared gradients kept per step", minimum=0, below=1
    )
    epsilon: float = key("for AdamW, added to the root of the mean squared gradient", above=0)


@dataclass(frozen=True, kw_only=True)
class LionConfig(AnyOptimizerConfig):
    """Steps of one size, in the direction that momentum and gradient agree on."""

    name: Literal["lion"] = key("the update rule")
    beta_1: float = key("fraction of the old mean of gradients in the direction of a step", above=0, below=1)
    beta_2: float = key("fraction of the old mean of gradients kept per step", minimum=0, below=1)


OptimizerConfig = AdamWConfig | SGDConfig | MuonConfig | LionConfig
