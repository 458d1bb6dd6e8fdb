"""`vit-runs predict`: the likeliest classes of one's own pictures."""

import argparse
import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vit_train.config.dataset import Fit
from vit_train.console import print_table, put_lines, say_error
from vit_train.data.folder import SUFFIXES
from vit_train.data.image_files import read_image_file
from vit_train.errors import DataError
from vit_train.rundir.find import find_run
from vit_train.runs.loading import load
from vit_train.text import csv_cell

_BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of a picture, (name, probability in [0, 1]), the best first."""

    picture: str
    classes: list[tuple[str, float]]


def run(options: argparse.Namespace) -> int:
    """Prints the predictions; a picture that cannot be read is a sentence on stderr and, at the end, exit code 3."""
    model, names = load(find_run(options.run, options.outputs))
    predictions: list[Prediction] = []
    faults: list[DataError] = []
    from vit_train.models.preprocessing import fit_of

    _, height, width, _ = model.input_shape
    for found in _read(_pictures(options.pictures), height, width, fit_of(model)):
        if isinstance(found, DataError):
            say_error(str(found), "vit-runs")
            faults.append(found)
        else:
            predictions += predict(model, names, *found, options.top)
    show = _print_json if options.json else _print_csv if options.csv else _print_table
    show(predictions)
    return faults[0].exit_code if faults else 0


def predict(
    model: Any, names: tuple[str, ...], paths: list[Path], images: np.ndarray, top: int | None
) -> list[Prediction]:
    """The `top` likeliest classes, or all if that is None, of each of uint8 images [B, H, W, 3] from `paths`."""
    from keras import ops

    probabilities = np.asarray(ops.softmax(model.predict_on_batch(images)))
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        Prediction(str(path), [(names[label], float(shares[label])) for label in labels])
        for path, shares, labels in zip(paths, probabilities, best, strict=True)
    ]


def _pictures(paths: Iterable[Path]) -> Iterator[Path | DataError]:
    """The files, and of each folder those in it, however deep, that have a picture's suffix, in sorted order."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not found:
            yield DataError(f"{path}: has no picture in it; they end in {' '.join(sorted(SUFFIXES))}")
        yield from found


def _read(
    paths: Iterable[Path | DataError], height: int, width: int, fit: Fit
) -> Iterator[tuple[list[Path], np.ndarray] | DataError]:
    """Batches (paths, images uint8 [B, height, width, 3]), and between them an error for what could not be read."""
    read: list[tuple[Path, np.ndarray]] = []
    for path in paths:
        if isinstance(path, DataError):
            yield path
            continue
        try:
            read.append((path, read_image_file(path, height, width, fit=fit)))
        except DataError as error:
            yield error
        if len(read) == _BATCH:
            yield [path for path, _ in read], np.stack([image for _, image in read])
            read.clear()
    if read:
        yield [path for path, _ in read], np.stack([image for _, image in read])


def _print_table(predictions: list[Prediction]) -> None:
    rows = [
        [prediction.picture if place == 0 else "", name, f"{probability:.1%}"]
        for prediction in predictions
        for place, (name, probability) in enumerate(prediction.classes)
    ]
    if rows:
        print_table(["picture", "class", "probability"], rows, text_columns=2, ruled=False)


def _print_json(predictions: list[Prediction]) -> None:
    values = [
        {"picture": p.picture, "classes": [{"name": name, "probability": share} for name, share in p.classes]}
        for p in predictions
    ]
    print(json.dumps(values, indent=2))


def _print_csv(predictions: list[Prediction]) -> None:
    """picture, class_1, probability_1, class_2, ..."""
    places = range(1, len(predictions[0].classes) + 1) if predictions else range(0)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", *(f"{column}_{place}" for place in places for column in ("class", "probability"))])
    for prediction in predictions:
        classes = [field for name, probability in prediction.classes for field in (csv_cell(name), probability)]
        writer.writerow([csv_cell(prediction.picture), *classes])
    put_lines(text.getvalue())
