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
    """The likeliest classes of a picture, (name, probability in [0, 1]), the best first.

    With a rule for what is none of them there is its score, and whether that makes the picture unknown.
    """

    picture: str
    classes: list[tuple[str, float]]
    score: float | None = None
    unknown: bool | None = None


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
            ruled = [column.tolist() for column in (found.scores, found.unknown) if column is not None]
            lines += map(_Line, found.pictures, found.top(options.top), *ruled)
    show = _print_json if options.json else _print_csv if options.csv else _print_table
    show(lines)
    return faults[0].exit_code if faults else 0


def _print_table(lines: list[_Line]) -> None:
    rows = []
    for line in lines:
        classes = [[name, f"{probability:.1%}"] for name, probability in line.classes]
        refused = [["(unknown)", ""]] if line.unknown else []
        rows += [[line.picture if place == 0 else "", *row] for place, row in enumerate([*refused, *classes])]
    if rows:
        print_table(["picture", "class", "probability"], rows, text_columns=2, ruled=False)


def _print_json(lines: list[_Line]) -> None:
    values = [
        {"picture": line.picture}
        | ({} if line.unknown is None else {"unknown": line.unknown, "score": line.score})
        | {"classes": [{"name": name, "probability": share} for name, share in line.classes]}
        for line in lines
    ]
    print(json.dumps(values, indent=2))


def _print_csv(lines: list[_Line]) -> None:
    """picture, with a rule unknown (0 or 1) and score, then class_1, probability_1, class_2, ..."""
    places = range(1, len(lines[0].classes) + 1) if lines else range(0)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ruled = ["unknown", "score"] if lines and lines[0].unknown is not None else []
    columns = [f"{column}_{place}" for place in places for column in ("class", "probability")]
    writer.writerow(["picture", *ruled, *columns])
    for line in lines:
        classes = [field for name, probability in line.classes for field in (csv_cell(name), probability)]
        scores = [int(line.unknown or 0), line.score] if ruled else []
        writer.writerow([csv_cell(line.picture), *scores, *classes])
    put_lines(text.getvalue())
