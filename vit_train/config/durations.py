"""Lengths of training: steps, epochs or minutes, through one converter."""

import math
import re
from dataclasses import dataclass
from typing import ClassVar

_PATTERN = re.compile(r"(\d+(?:\.\d+)?) *(steps?|epochs?|minutes?|%)")


@dataclass(frozen=True)
class Duration:
    """A length of training: `value` steps, epochs, minutes of wall-clock time, or % of the training; `value` >= 0."""

    WORDS: ClassVar[str] = "steps (500), epochs ('2 epochs'), minutes ('5 minutes') or a part of training ('10 %')"

    value: float
    unit: str

    @classmethod
    def parse(cls, raw: object) -> "Duration":
        """Reads 500 (steps), "500 steps", "2.5 epochs", "5 minutes" or "10 %"; raises ValueError for anything else."""
        text = f"{raw} steps" if isinstance(raw, int) and not isinstance(raw, bool) else str(raw)
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError("must be a number of steps (500) or of epochs ('2 epochs')")
        value, unit = float(match[1]), match[2].rstrip("s")
        if unit == "step" and not value.is_integer():
            raise ValueError("must be a whole number of steps")
        return cls(value, unit)

    def steps(self, steps_per_epoch: int, epochs: int = 0) -> int:
        """Whole steps of a training of `epochs` epochs, rounded up; minutes have none."""
        if self.unit == "%":
            return math.ceil(self.value * epochs * steps_per_epoch / 100)
        return math.ceil(self.value * (steps_per_epoch if self.unit == "epoch" else 1))

    def __str__(self) -> str:
        value = int(self.value) if self.value.is_integer() else self.value
        return f"{value} {self.unit}{'' if value == 1 or self.unit == '%' else 's'}"
