"""What a model says of each test image, and predictions.csv, which holds it. All test figures follow from it."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vit_train.files import read_regular, replace_file
from vit_train.rundir.unknown import Rule, Score
from vit_train.text import csv_cell, from_csv_cell

_MOST_BYTES = 2**32  # some ten million images


@dataclass(frozen=True, eq=False)
class Predictions:
    """Columns with a row for each of N images. Their size does not depend on the number of classes.

    labels: int32 [N], the true classes.
    top: int32 [N, T], the T = min(5, classes) most probable classes, the first one first; of ties, the lower index.
    top_probabilities: float32 [N, T], theirs.
    true_probabilities: float32 [N], those of the true classes.
    losses: float32 [N], cross-entropy in nats.
    briers: float32 [N], squared distance of the probabilities from the truth, summed over the classes; 0 to 2.
    energies: float32 [N], minus the log of the sum of the logits' exponentials; None of what was read from a file.
    """

    labels: npt.NDArray[np.int32]
    top: npt.NDArray[np.int32]
    top_probabilities: npt.NDArray[np.float32]
    true_probabilities: npt.NDArray[np.float32]
    losses: npt.NDArray[np.float32]
    briers: npt.NDArray[np.float32]
    energies: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether the most probable class is the true one: bool [N]."""
        return np.asarray(self.top[:, 0] == self.labels)

    @property
    def in_top(self) -> npt.NDArray[np.bool_]:
        """Whether the true class is among the five most probable: bool [N]; with five classes or fewer it always is."""
        return np.asarray((self.top == self.labels[:, None]).any(axis=1))

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """Probability of the most probable class: float32 [N]."""
        return self.top_probabilities[:, 0]

    def scores(self, score: Score) -> npt.NDArray[np.float32]:
        """The scores that a rule looks at, high for what is known: float32 [N]."""
        if score == "confidence":
            return self.confidence
        assert self.energies is not None  # only those that a model has just made are asked
        return -self.energies


def join(parts: Iterable[Predictions]) -> Predictions:
    """The rows of all parts, in their order; at least one part is needed."""
    rows = list(parts)

    def joined(name: str) -> Any:
        columns = [getattr(part, name) for part in rows]
        return None if any(column is None for column in columns) else np.concatenate(columns)

    return Predictions(*(joined(field.name) for field in fields(Predictions)))


def take(found: Predictions, rows: npt.NDArray[np.integer]) -> Predictions:
    """The rows at `rows`, in that order."""

    def taken(name: str) -> Any:
        column = getattr(found, name)
        return None if column is None else column[rows]

    return Predictions(*(taken(field.name) for field in fields(Predictions)))


def columns_of(places: int, with_files: bool = False) -> list[str]:
    """The header of predictions.csv for the `places` = min(5, classes) most probable classes."""
    top = [f"top{place}{part}" for place in range(1, places + 1) for part in ("", "_name", "_probability")]
    return ["index", *["file"] * with_files, "label", "label_name", *top, "true_probability", "loss", "brier"]


def table(
    predictions: Predictions, class_names: Sequence[str], files: Sequence[str] | npt.NDArray[np.object_] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The columns of predictions.csv, each [N], by the names of `columns_of`; names of classes and files are str."""
    names = np.array(list(class_names), dtype=object)
    columns: dict[str, npt.NDArray[Any]] = {"index": np.arange(len(predictions))}
    if files is not None:
        columns["file"] = np.array([str(file) for file in files], dtype=object)
    columns |= {"label": predictions.labels, "label_name": names[predictions.labels]}
    for place, (top, probability) in enumerate(zip(predictions.top.T, predictions.top_probabilities.T, strict=True), 1):
        columns |= {f"top{place}": top, f"top{place}_name": names[top], f"top{place}_probability": probability}
    figures = (predictions.true_probabilities, predictions.losses, predictions.briers)
    return columns | dict(zip(("true_probability", "loss", "brier"), figures, strict=True))


def write(
    predictions: Predictions,
    class_names: Sequence[str],
    path: Path,
    files: Sequence[str] | npt.NDArray[np.object_] | None = None,
    rows: Sequence[int] | npt.NDArray[np.integer] | None = None,
    rule: Rule | None = None,
) -> None:
    """Writes predictions.csv; `files` are the images' paths, if they have any. `read` gives the very same numbers.

    `rows` [N] are the images' places in their data set, where that is not 0 to N - 1. With a `rule` there are the
    columns score and unknown (0 or 1), too, which `read` leaves out.

    Names are cells as `vit_train.text` makes them: one that a spreadsheet would take for a formula begins with an
    apostrophe.
    """
    text, columns = io.StringIO(), table(predictions, class_names, files)
    if rows is not None:
        columns["index"] = np.asarray(rows)
    if rule:
        scores = predictions.scores(rule.score)
        columns |= {"score": scores, "unknown": rule.refuses(scores).astype(int)}
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([csv_cell(cell) if isinstance(cell, str) else cell for cell in row])
    replace_file(path, text.getvalue())


def read(path: Path) -> Predictions:
    """The predictions that predictions.csv holds; columns that it does not know, of a newer version, are left out.

    Raises OSError if it cannot be read, and ValueError, one sentence, if it is another file or damaged.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_regular(path, _MOST_BYTES).decode(), newline=""))
        rows, names = list(reader), list(reader.fieldnames or ())
        places = sum(name.startswith("top") and name[3:].isdigit() for name in names)
        if not rows or not places or not set(columns_of(places)) <= set(names):
            raise ValueError("the columns are not those of predictions")
        return _of_rows(rows, places)
    except (ValueError, TypeError, OverflowError, csv.Error) as error:  # a row of another length, a cell of other type
        raise ValueError(f"it is not the predictions.csv of a run, or damaged: {error}") from error


def read_files(path: Path) -> list[str] | None:
    """The images' paths in a predictions.csv that `read` takes, or None if they have none."""
    return _read_column(path, "file")


def read_rows(path: Path) -> npt.NDArray[np.int64]:
    """int64 [N]: the images' places in their data set, of a predictions.csv that `read` takes; raises ValueError."""
    return np.array(_read_column(path, "index"), np.int64)


def _read_column(path: Path, name: str) -> list[str] | None:
    reader = csv.DictReader(io.StringIO(read_regular(path, _MOST_BYTES).decode(), newline=""))
    return [from_csv_cell(row[name]) for row in reader] if name in (reader.fieldnames or ()) else None


def _of_rows(rows: list[dict[str, str]], places: int) -> Predictions:
    top = [f"top{place}" for place in range(1, places + 1)]

    def floats(name: str) -> npt.NDArray[np.float32]:
        return np.array([row[name] for row in rows], dtype=np.float32)

    return Predictions(
        labels=np.array([row["label"] for row in rows], dtype=np.int32),
        top=np.array([[row[name] for name in top] for row in rows], dtype=np.int32),
        top_probabilities=np.stack([floats(f"{name}_probability") for name in top], axis=1),
        true_probabilities=floats("true_probability"),
        losses=floats("loss"),
        briers=floats("brier"),
    )
