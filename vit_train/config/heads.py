"""The keys `head.*`: how the last layer comes about, from features to logits; `name` says which keys there are."""

from dataclasses import dataclass
from typing import Literal

from vit_train.config.convert import key
from vit_train.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AnyHeadConfig:
    """What every head has."""

    @property
    def fits(self) -> tuple[str, ...]:
        """What is fitted in each epoch of the run, in words; none if it is trained in steps."""
        return ("the head",)


@dataclass(frozen=True, kw_only=True)
class TrainedHeadConfig(AnyHeadConfig):
    """Dense, and trained as all else."""

    name: Literal["trained"] = key("how the last layer comes about", absent="trained")

    @property
    def fits(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, kw_only=True)
class LogisticHeadConfig(AnyHeadConfig):
    """Multinomial logistic regression on the features of a network that stays as it is."""

    name: Literal["logistic"] = key("how the last layer comes about")
    l2: tuple[float, ...] = key(
        "strengths of L2 that are tried, each an epoch, of which the best by train.checkpoint.monitor stays: what is "
        "minimised is the mean cross-entropy and half of this times the sum of all squared weights, for features of "
        "deviation 1",
        above=0,
    )

    @property
    def fits(self) -> tuple[str, ...]:
        return tuple(f"l2={strength:g}" for strength in self.l2)

    def __post_init__(self) -> None:
        if not self.l2:
            raise ConfigError("head.l2=[]: needs a strength to try, such as [1e-2]")


@dataclass(frozen=True, kw_only=True)
class KnnHeadConfig(AnyHeadConfig):
    """The vote of the training images whose features are nearest by cosine (DINO, arXiv 2104.14294, section 4.1)."""

    name: Literal["knn"] = key("how the last layer comes about")
    neighbours: int = key("how many training images vote", minimum=1)
    temperature: float = key("a vote's weight is e to the cosine divided by this", above=0)


@dataclass(frozen=True, kw_only=True)
class PrototypesHeadConfig(AnyHeadConfig):
    """The nearest, by cosine, of the mean features of the classes."""

    name: Literal["prototypes"] = key("how the last layer comes about")
    temperature: float = key("logits are cosines divided by this", above=0)


HeadConfig = TrainedHeadConfig | LogisticHeadConfig | KnnHeadConfig | PrototypesHeadConfig
