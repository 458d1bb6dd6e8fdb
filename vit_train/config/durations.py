"""Lengths of training: steps, epochs or minutes, through one converter."""

import math
import re
from dataclasses import dataclass

_PATTERN = re.compile(r"(\d+(?:\.\d+)?) *(steps?|epochs?|minutes?)")


@dataclass(frozen=True)
class Duration:
    """A length of training: `value` steps, epochs or minutes of wall-clock time; `value` >= 0."""

    value: float
    unit: str

    @classmethod
    def parse(cls, raw: object) -> "Duration":
        """Reads 500 (steps), "500 steps", "2.5 epochs" or "5 minutes"; raises ValueError for anything else."""
        text = f"{raw} steps" if isinstance(raw, int) and not isinstance(raw, bool) else str(raw)
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError("must be a number of steps (500) or of epochs ('2 epochs')")
        value, unit = float(match[1]), match[2].rstrip("s")
        if unit == "step" and not value.is_integer():
            raise ValueError("must be a whole number of steps")
        return cls(value, unit)

    def steps(self, steps_per_epoch: int) -> int:
        """Whole steps, rounded up; minutes have none."""
        return math.ceil(self.value * (steps_per_epoch if self.unit == "epoch" else 1))

    def __str__(self) -> str:
        value = int(self.value) if self.value.is_integer() else self.value
        return f"{value} {self.unit}{'' if value == 1 else 's'}"
