"""The report of a run: report.json for scripts, report.md for people."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from vit_train.console import duration
from vit_train.evaluate import ClassScores, Scores
from vit_train.files import replace_file
from vit_train.run_dir import RunDir


@dataclass(frozen=True)
class Report:
    """What a run found. Accuracies are fractions in [0, 1], losses in nats, `best_epoch` counts from 1."""

    dataset: str
    model: str
    parameters: int
    split: dict[str, int]
    best_epoch: int
    validation: Scores
    test: Scores
    per_class: list[ClassScores]
    training: dict[str, Any]
    status: str
    run_dir: str
    exports: dict[str, int] = field(default_factory=dict)  # bytes of each file of exported weights


def write(report: Report, run: RunDir) -> None:
    """Writes report.md and report.json, the latter last: a run that has it is finished."""
    replace_file(run.report_md, markdown(report))
    replace_file(run.report_json, json.dumps(dataclasses.asdict(report), indent=2) + "\n")


def result_rows(report: Report) -> list[list[str]]:
    """Rows [part, images, loss, accuracy, top-5 accuracy] for the validation and the test set."""
    parts = (("validation", report.validation), ("test", report.test))
    return [
        [part, f"{report.split[part]:,}", f"{s.loss:.4f}", f"{s.accuracy:.2%}", f"{s.top5_accuracy:.2%}"]
        for part, s in parts
    ]


RESULT_HEADER = ["", "images", "loss", "accuracy", "top-5"]


def markdown(report: Report) -> str:
    """The report as one page of Markdown."""
    training = report.training
    return f"""# {report.model} on {report.dataset}: {report.test.accuracy:.2%} test accuracy

{_table(RESULT_HEADER, result_rows(report))}

The weights are those of epoch {report.best_epoch} of {training["epochs"]}, the best by {training["monitor"]}.
The test set was read once, with them.

- Parameters: {report.parameters:,}
- Training images: {report.split["train"]:,}
- Steps: {training["steps"]:,} in {duration(training["seconds"])} (h:mm:ss)
- Speed: {training["images_per_second"]:.0f} training images/s
- Status: {report.status}{_exports(report)}

## Classes

{_table(["class", "accuracy", "top-5", "test images"], [_class_row(row) for row in report.per_class])}
"""


def _exports(report: Report) -> str:
    return "".join(f"\n- Exported weights: {name}, {size:,} bytes" for name, size in report.exports.items())


def _class_row(row: ClassScores) -> list[str]:
    shares = ["-" if share is None else f"{share:.1%}" for share in (row.accuracy, row.top5_accuracy)]
    return [row.name, *shares, f"{row.support:,}"]


def _table(header: list[str], rows: list[list[str]]) -> str:
    rule = [":--", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))
