"""`vit-runs predict`: the likeliest classes of one's own pictures."""

import argparse
import csv
import io
import json
from dataclasses import dataclass

from vit_train.console import print_table, put_lines, say_error
from vit_train.errors import DataError
from vit_train.rundir.find import find_run
from vit_train.runs.loading import load
from vit_train.runs.predicted import batches
from vit_train.text import csv_cell


@dataclass(frozen=True)
class _Line:
    """The likeliest classes of a picture, (name, probability in [0, 1]), the best first."""

    picture: str
    classes: list[tuple[str, float]]


def run(options: argparse.Namespace) -> int:
    """Prints the predictions; a picture that cannot be read is a sentence on stderr and, at the end, exit code 3."""
    model, _ = load(find_run(options.run, options.outputs))
    lines: list[_Line] = []
    faults: list[DataError] = []
    for found in batches(model, options.pictures):
        if isinstance(found, DataError):
            say_error(str(found), "vit-runs")
            faults.append(found)
        else:
            lines += map(_Line, found.pictures, found.top(options.top))
    show = _print_json if options.json else _print_csv if options.csv else _print_table
    show(lines)
    return faults[0].exit_code if faults else 0


def _print_table(lines: list[_Line]) -> None:
    rows = [
        [line.picture if place == 0 else "", name, f"{probability:.1%}"]
        for line in lines
        for place, (name, probability) in enumerate(line.classes)
    ]
    if rows:
        print_table(["picture", "class", "probability"], rows, text_columns=2, ruled=False)


def _print_json(lines: list[_Line]) -> None:
    values = [
        {"picture": line.picture, "classes": [{"name": name, "probability": share} for name, share in line.classes]}
        for line in lines
    ]
    print(json.dumps(values, indent=2))


def _print_csv(lines: list[_Line]) -> None:
    """picture, class_1, probability_1, class_2, ..."""
    places = range(1, len(lines[0].classes) + 1) if lines else range(0)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", *(f"{column}_{place}" for place in places for column in ("class", "probability"))])
    for line in lines:
        classes = [field for name, probability in line.classes for field in (csv_cell(name), probability)]
        writer.writerow([csv_cell(line.picture), *classes])
    put_lines(text.getvalue())
