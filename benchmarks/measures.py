"""What raw repetitions amount to."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Result = dict[str, Any]


def speeds(each: Result) -> tuple[list[float], int]:
    """Images per second of each turn, or its seconds if there are no images, and how many decimals are of use."""
    if each["images"] == 1:
        return each["seconds"], 2
    values = [each["images"] / seconds for seconds in each["seconds"]]
    return values, 0 if min(values) >= 100 else 1


def ratios(each: Result, ours: Result) -> list[float]:
    """How many times faster ours was, round by round; nothing if one of them failed."""
    share = ours["images"] / each["images"] if each["images"] else 1
    return [share * theirs / mine for theirs, mine in zip(each["seconds"], ours["seconds"], strict=False)]


def alternatives(groups: Sequence[Result]) -> Iterator[tuple[str, str, list[float]]]:
    """(group, contender, ratios) of each alternative that was measured beside ours."""
    for group in groups:
        for each in group["results"][group["ours"] :]:
            if compared := ratios(each, group["results"][0]):
                yield group["title"], each["contender"], compared


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The exponent b of the power law a x^b that fits best."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


@dataclass(frozen=True)
class Growth:
    """A group of contenders of ours whose names are the sizes of what grows."""

    sizes: list[int]
    seconds: list[float]  # of a step, or of an epoch if images grow
    memory: list[float]  # GiB
    start: list[float]  # seconds to the end of the first step

    @classmethod
    def of(cls, group: Result) -> "Growth":
        """Medians of those that did not fail."""
        good = [each for each in group["results"] if not each["failed"]]
        return cls(
            [int(each["contender"]) for each in good],
            [statistics.median(each["seconds"]) / group["steps"] for each in good],
            [each["peak_mib"] / 1024 for each in good],
            [each["first_step"] for each in good],
        )
