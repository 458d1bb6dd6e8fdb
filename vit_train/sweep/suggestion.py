"""What a range test says of the learning rate: the rules, on a curve of loss over rate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_WIDTH = 0.1  # decades: the standard deviation of the weights that smooth the loss
_LEAST_FALL = 0.02  # of the loss at the start; less is noise, and says nothing


@dataclass(frozen=True)
class Curve:
    """Learning rates float64 [N], growing by one factor from each to the next, and the smoothed loss at each, [N]."""

    rates: np.ndarray
    losses: np.ndarray


def smoothed(points: Sequence[tuple[float, float]]) -> Curve:
    """The curve of (learning rate, loss) points: means of neighbours, with Gaussian weights over the logarithm.

    Unlike a running mean it does not lag behind, which would move each suggestion up.
    """
    rates, losses = np.array(points, "float64").T
    places = np.log10(rates)
    weights = np.exp(-0.5 * ((places[:, None] - places) / _WIDTH) ** 2)
    return Curve(rates, weights @ losses / weights.sum(axis=1))


def learns(curve: Curve) -> bool:
    """Whether the loss falls at all before it ends."""
    return len(curve.losses) > 1 and bool(curve.losses.min() < (1 - _LEAST_FALL) * curve.losses[0])


def steepest(curve: Curve) -> float:
    """Where the loss falls most for a change of the rate's logarithm; fastai's `steep`."""
    slopes = np.gradient(curve.losses, np.log(curve.rates))
    return float(curve.rates[slopes.argmin()])


def minimum(curve: Curve) -> float:
    """The rate with the lowest loss, of which fastai's `minimum` takes a tenth."""
    return float(curve.rates[curve.losses.argmin()])


def valley(curve: Curve) -> float:
    """Half way down the longest descent, each loss of which is lower than the one before; fastai's `valley`.

    A descent of L losses, with others in between or not, that ends at index e has its half at e - L + L/3 + L/6.
    """
    lengths = np.ones(len(curve.losses), int)
    for index in range(1, len(lengths)):
        higher = curve.losses[:index] > curve.losses[index]
        lengths[index] += lengths[:index][higher].max(initial=0)
    end = int(lengths.argmax())
    third = lengths[end] / 3
    return float(curve.rates[end - lengths[end] + int(third) + int(third / 2)])


RULES: dict[str, Callable[[Curve], float]] = {
    "minimum": minimum,
    "minimum/10": lambda curve: minimum(curve) / 10,
    "valley": valley,
    "steepest": steepest,
}
CHOSEN = "minimum"  # docs/sweeps.md has what it was held against
