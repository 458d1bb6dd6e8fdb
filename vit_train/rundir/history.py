"""The rows of history.csv, one per epoch, and what follows from them: the best epoch, and when to stop."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from vit_train import metrics
from vit_train.config.schema import EarlyStoppingConfig
from vit_train.files import replace_file

Row = dict[str, float]

COLUMNS = (
    "epoch",
    "step",
    "learning_rate",
    *metrics.TRAINING,
    *metrics.VALIDATION,
    "seconds",
    "images_per_second",
)


def write(rows: Sequence[Row], path: Path) -> None:
    """Writes history.csv whole; `rows` have the COLUMNS."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    replace_file(path, text.getvalue())


def read(path: Path) -> list[Row]:
    """The rows of history.csv; none if there is no such file, as before the end of the first epoch."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def best(rows: Sequence[Row], monitor: str) -> Row:
    """The first of the rows with the best value of `monitor`, a column of validation."""
    return max(rows, key=lambda row: _gain(row, monitor))


def should_stop(rows: Sequence[Row], stopping: EarlyStoppingConfig) -> bool:
    """Whether the last `patience` epochs brought no improvement by more than `min_delta`, as Keras' EarlyStopping.

    A pure function of the rows, so there are no counters to save.
    """
    reference, waited = -math.inf, 0
    for row in rows:
        gain = _gain(row, stopping.monitor)
        if gain - stopping.min_delta > reference:
            reference, waited = gain, 0
        else:
            waited += 1
    return stopping.patience is not None and waited >= stopping.patience


def _gain(row: Row, monitor: str) -> float:
    return metrics.VALIDATION[monitor].gain(row[monitor])
