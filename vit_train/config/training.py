"""The keys `loss.*`, `schedule.*` and `train.*`."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from vit_train.config.convert import key, show
from vit_train.config.durations import Duration
from vit_train.errors import ConfigError
from vit_train.metrics import VALIDATION

if TYPE_CHECKING:
    Monitor = str
else:
    Monitor = Literal[tuple(VALIDATION)]  # what a type checker cannot read


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What training minimises: cross-entropy, with changes that training makes and validation does not."""

    label_smoothing: float = key(
        "fraction of each training target that is spread evenly over all classes", absent=0.0, minimum=0, below=1
    )
    class_weights: Literal["balanced"] | tuple[str, ...] | None = key(
        "factors of the training loss by class: balanced makes all classes weigh the same, a list has NAME:WEIGHT for "
        "some, null and others are 1",
        absent=None,
    )

    logit_adjustment: float = key(
        "factor of the logarithm of each class's fraction of the training images, which is added to its logits while "
        "training; 0 adds nothing, 1 makes up for uneven classes (Menon et al., 2021)",
        absent=0.0, minimum=0, below=math.inf,
    )  # fmt: skip

    @property
    def weights_by_name(self) -> dict[str, float]:
        """Those of a list."""
        pairs = self.class_weights if isinstance(self.class_weights, tuple) else ()
        return {name: float(weight) for name, _, weight in (pair.rpartition(":") for pair in pairs)}

    def __post_init__(self) -> None:
        if self.logit_adjustment and self.class_weights == "balanced":
            raise ConfigError(
                f"loss.logit_adjustment={self.logit_adjustment:g}: does not go with loss.class_weights=balanced, which "
                "makes up for uneven classes, too; change one"
            )
        pairs = self.class_weights if isinstance(self.class_weights, tuple) else ()
        for pair in pairs:
            name, _, weight = pair.rpartition(":")
            try:
                good = name and 0 < float(weight) < math.inf
            except ValueError:
                good = False
            if not good:
                raise ConfigError(f"loss.class_weights=[{pair}]: must be NAME:WEIGHT, WEIGHT above 0, as in cat:2")
        names = [pair.rpartition(":")[0] for pair in pairs]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"loss.class_weights={show(pairs)}: has {name} more than once; name each class once")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How the learning rate moves."""

    name: Literal["constant", "cosine", "linear", "trapezoid", "one_cycle"] = key(
        "shape after the warmup; a trapezoid is constant, then falls linearly in its cooldown"
    )
    warmup: Duration = key("rise before anything else, linear, or half a cosine in schedule=one_cycle")
    initial: float = key(
        "learning rate at the start of the warmup, as a fraction of the highest", absent=0.0, minimum=0, maximum=1
    )
    cooldown: Duration = key("fall of a trapezoid at the end of the training", absent="0 steps")
    final: float = key("learning rate at the end, as a fraction of the highest", minimum=0, maximum=1)

    def __post_init__(self) -> None:
        for name, length in (("warmup", self.warmup), ("cooldown", self.cooldown)):
            if length.unit == "minute":
                raise ConfigError(
                    f"schedule.{name}='{length}': must be in steps (500), epochs ('2 epochs') or % ('10 %')"
                )
        if (self.name == "trapezoid") != (self.cooldown.value > 0):
            hint = "needs one, such as '20 %'" if self.name == "trapezoid" else "has none; use schedule=trapezoid"
            raise ConfigError(f"schedule.cooldown='{self.cooldown}': schedule={self.name} {hint}")
        if self.name == "constant" and self.final != 1:
            raise ConfigError(f"schedule.final={self.final:g}: schedule=constant stays at 1; use schedule=cosine")


@dataclass(frozen=True, kw_only=True)
class EarlyStoppingConfig:
    """When to stop before the last epoch."""

    names_of_metrics: ClassVar = ("monitor",)  # to which plugins add

    monitor: Monitor = key("the metric that has to improve")
    patience: int | None = key("epochs without improvement before training stops; null never stops", minimum=1)
    min_delta: float = key("smallest change that counts as improvement", minimum=0)


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """Which epoch's weights are the result, and how much work may be lost."""

    names_of_metrics: ClassVar = ("monitor",)

    every: Duration = key(
        "how often the run's state is saved, besides at its end and when it is stopped", may_change=True
    )
    monitor: Monitor = key("the metric that picks the best epoch")

    def __post_init__(self) -> None:
        if self.every.unit == "%":
            raise ConfigError(
                f"train.checkpoint.every='{self.every}': must be in steps (500), epochs ('2 epochs') or minutes"
            )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long and in what portions to train."""

    epochs: int = key("passes over the training images", may_change=True, minimum=1)
    batch_size: int = key("images per step", fills_memory=True, minimum=1)
    accumulate: int = key(
        "parts in which the images of a step go through the model, one after another, before the optimizer takes its "
        "one step: that takes the memory of a part",
        absent=1,
        minimum=1,
    )
    recompute: bool = key(
        "whether training keeps only what goes into each block, and computes the block again in the backward pass: a "
        "third more work for a fraction of the memory",
        absent=False,
        may_change=True,
    )
    steps_per_epoch: int | None = key("steps per epoch; null goes through all training images", minimum=1)
    reshuffle: bool = key("whether every epoch has an order of its own; false repeats the first one's")
    skip_nonfinite_steps: int = key(
        "steps with an infinite or undefined loss or gradient to leave out before training ends",
        was="skip_bad_steps",
        may_change=True,
        minimum=0,
    )
    ema_decay: float | None = key(
        "fraction of the average of the weights that a step keeps, less in the first steps; the average is then "
        "what is validated, chosen and saved as the model; null is off",
        absent=None,
        above=0,
        below=1,
    )
    low_resolution: int | None = key(
        "side of the images in the first epochs, in pixels, which makes these faster; null has no such epochs",
        absent=None,
        minimum=1,
    )
    low_resolution_epochs: int = key("epochs with images of low_resolution", absent=0, minimum=0)
    cache_features: bool = key(
        "whether images go once, before training, through what is not trained of the model, and the rest learns from "
        "what comes out; for a frozen model without augmentation",
        absent=False,
    )
    early_stopping: EarlyStoppingConfig
    checkpoint: CheckpointConfig

    def __post_init__(self) -> None:
        if (self.low_resolution is None) != (self.low_resolution_epochs == 0):
            raise ConfigError(
                f"train.low_resolution={self.low_resolution or 'null'}: with train.low_resolution_epochs="
                f"{self.low_resolution_epochs}: set both, or neither"
            )


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What the model says of images that are of none of its classes."""

    unknown: Literal["none", "confidence", "energy"] = key(
        "score by which an image is refused as unknown: the largest probability, or the energy of the logits; none "
        "refuses nothing",
        absent="none", affects_result=False,
    )  # fmt: skip
    false_alarms: float = key(
        "fraction of the validation images that may be refused, from which the threshold of the score follows",
        absent=0.05, affects_result=False, above=0, below=1,
    )  # fmt: skip
