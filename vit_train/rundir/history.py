"""The rows of history.csv, one per epoch, and what follows from them: the best epoch, and when to stop."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from vit_train import metrics
from vit_train.config.own import validation_metrics
from vit_train.config.training import EarlyStoppingConfig, TrainConfig
from vit_train.files import read_regular, replace_file

Row = dict[str, float]

_MOST_BYTES = 2**26  # 300,000 epochs

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
    """Writes history.csv whole: the COLUMNS, then those of another version; a cell is empty where a row has none."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)])))
    writer.writeheader()
    writer.writerows(rows)
    replace_file(path, text.getvalue())


def read(path: Path) -> list[Row]:
    """The rows of history.csv; none if there is no such file, as before the end of the first epoch.

    A row has the columns that are there: an older version may have had fewer, a newer one more. Only "epoch" has to be.
    Raises OSError if the file cannot be read, and ValueError, one sentence, if it is another or damaged.
    """
    try:
        text = read_regular(path, _MOST_BYTES).decode()
        rows = [
            {name: float(value) for name, value in row.items() if value != ""}
            for row in csv.DictReader(io.StringIO(text, newline=""))
        ]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, csv.Error) as error:  # no text, a cell that is no number, a row of another length
        raise ValueError(f"it is damaged: {type(error).__name__}") from error
    if not text.startswith("epoch") or not all("epoch" in row for row in rows):
        raise ValueError("it has no column epoch")
    return rows


def best(rows: Sequence[Row], monitor: str) -> Row:
    """The first of the rows with the best value of `monitor`, a column of validation that some may lack."""
    return max(rows, key=lambda row: _gain(row, monitor))


def at_end(rows: Sequence[Row], train: TrainConfig) -> bool:
    """Whether training is over: after the last epoch, or at an early stop."""
    return len(rows) >= train.epochs or should_stop(rows, train.early_stopping)


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
    gain = validation_metrics()[monitor].gain(row[monitor]) if monitor in row else -math.inf
    return -math.inf if math.isnan(gain) else gain  # as a plugin's may be
