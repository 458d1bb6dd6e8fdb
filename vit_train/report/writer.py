"""What a run found, as report.json."""

import dataclasses
import json
import math
import statistics
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vit_train.config.own import validation_metrics
from vit_train.config.schema import Config
from vit_train.console import say_once
from vit_train.data.superclasses import superclasses_of
from vit_train.errors import CheckpointError
from vit_train.files import replace_file
from vit_train.metrics import VALIDATION
from vit_train.report.refusals import Refusals, refusals
from vit_train.report.scores import ClassScores, Evaluation, Scores, evaluate, evaluate_classes
from vit_train.rundir import history, records
from vit_train.rundir.history import Row
from vit_train.rundir.layout import RunDir
from vit_train.rundir.predictions import Predictions
from vit_train.rundir.unknown import Rule
from vit_train.text import to_resume

T = TypeVar("T")
SCHEMA_VERSION = 1  # of report.json, described by report.schema.json; higher when a key goes or changes its meaning


@dataclass(frozen=True)
class Report:
    """What a run found. Accuracies are fractions in [0, 1], losses in nats, `best_epoch` counts from 1.

    `status` is "completed"; "reporting" while figures and pages are made, when all numbers are there; "interrupted" or
    "failed", when the test set was not read, and where `error` says why.
    """

    status: str
    error: str | None
    dataset: str
    model: str
    parameters: int
    split: dict[str, int]
    best_epoch: int | None
    validation: Scores | None
    test: Evaluation | None
    per_class: list[ClassScores]
    training: dict[str, Any]
    run_dir: str
    exports: dict[str, int] = field(default_factory=dict)  # bytes of each file of exported weights
    unknown: Refusals | None = None  # only with evaluate.unknown

    @property
    def uneven(self) -> bool:
        """Whether one class has more than 3 times the test images of another, so accuracy is about large ones."""
        counts = [row.support for row in self.per_class if row.support]
        return bool(counts) and max(counts) > 3 * min(counts)

    @property
    def headline(self) -> tuple[str, float] | None:
        """Name and value of the metric that leads, of the test set; None if that was not read."""
        if self.test is None:
            return None
        if self.uneven and self.test.balanced_accuracy is not None:
            return "balanced test accuracy", self.test.balanced_accuracy
        return "test accuracy", self.test.accuracy

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the labels."""
        return tuple(row.name for row in self.per_class)


def of_training(config: Config, run: RunDir, split: dict[str, int], parameters: int, rows: list[Row]) -> Report:
    """What is known without the test set and the optimizer; `rows` are those of history.csv, possibly none."""
    best = history.best(rows, config.train.checkpoint.monitor) if rows else None
    return Report(
        status="reporting",
        error=None,
        dataset=config.dataset.name,
        model=config.model.name,
        parameters=parameters,
        split=split,
        best_epoch=int(best["epoch"]) if best else None,
        validation=_validation_scores(best) if best else None,
        test=None,
        per_class=[],
        training=_totals(rows, config),
        run_dir=str(run.path),
    )


def finite(values: dict[str, float]) -> dict[str, float | None]:
    """Numbers as JSON can have them."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _validation_scores(row: Row) -> Scores:
    scores = {metric.column: row[column] for column, metric in VALIDATION.items() if column in row}
    own = {name: metric for name, metric in validation_metrics().items() if metric.own and name in row}
    return Scores(**scores, own=finite({metric.column: row[name] for name, metric in own.items()}))


def with_test(
    report: Report,
    found: Predictions,
    class_names: tuple[str, ...],
    skipped_steps: int,
    own: dict[str, float],
    rule: Rule | None = None,
) -> Report:
    """The report of a run that has come to its end, with what `found`, and `own` metrics, say of the test set.

    And what a `rule` for unknown images makes of it, if there is one.
    """
    test = evaluate(found, superclasses_of(report.dataset, class_names))
    return dataclasses.replace(
        report,
        test=dataclasses.replace(test, own=finite(own)),
        per_class=evaluate_classes(found, class_names, rule),
        unknown=refusals(rule, found) if rule else None,
        training={**report.training, "skipped_steps": skipped_steps},
    )


def _totals(rows: list[Row], config: Config) -> dict[str, Any]:
    """Totals over the epochs; the throughput is the median epoch's, which leaves out the start-up of the first."""
    return {
        "epochs": len(rows),
        "planned_epochs": config.train.epochs,
        "steps": int(rows[-1]["step"]) if rows else 0,
        "skipped_steps": None,
        "seconds": sum(row["seconds"] for row in rows),
        "images_per_second": statistics.median(row["images_per_second"] for row in rows) if rows else None,
        "monitor": config.train.checkpoint.monitor,
    }


def write(report: Report, run: RunDir) -> None:
    """Writes report.json in one step."""
    values = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(report)}
    replace_file(run.report_json, json.dumps(values, indent=2) + "\n")


def reopen(run: RunDir) -> None:
    """Makes a run that goes on an unfinished one.

    What a finished run has told stays until there is something new to tell, with the status "reporting". What was told
    of one that was stopped is in history.csv too, and is removed.
    """
    if has_test(run):
        values = records.read_report(run) | {"status": "reporting"}
        replace_file(run.report_json, json.dumps(values, indent=2) + "\n")
    else:
        for path in (run.report_json, run.report_md, run.report_html):
            path.unlink(missing_ok=True)


def has_test(run: RunDir) -> bool:
    """Whether report.json has test figures, so the run was finished once."""
    try:
        return read(run).test is not None
    except (CheckpointError, TypeError, KeyError, AttributeError):  # cut, or of another kind
        return False


def read(run: RunDir) -> Report:
    """The report that report.json holds; what only a newer version knows is left out.

    Raises CheckpointError if there is none, or one without what every version has.
    """
    values = records.read_report(run)
    if not values:
        raise CheckpointError(f"{run.report_json}: is not there; finish the run with {to_resume(run.path)}")
    version = values.get("schema_version", 0)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        say_once(f"note: {run.report_json}: is of schema_version {version}, this vit-train of {SCHEMA_VERSION}")
    try:
        parts = {"validation": Scores, "test": Evaluation, "unknown": Refusals}
        values |= {name: _known(kind, values[name]) if values.get(name) else None for name, kind in parts.items()}
        return _known(
            Report, {**values, "per_class": [_known(ClassScores, row) for row in values.get("per_class") or []]}
        )
    except (TypeError, AttributeError) as error:
        raise CheckpointError(f"{run.report_json}: lacks what every version has ({error})") from error


def _known(kind: type[T], values: dict[str, Any]) -> T:
    """The dataclass with those of the values that it has; what an older version did not measure is None.

    Raises TypeError for a value that is missing and cannot be None.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unmeasured = {name: None for name in fields if type(None) in typing.get_args(hints[name])}
    return kind(**unmeasured | {name: value for name, value in values.items() if name in fields})


_IN_RESULTS = [metric for metric in VALIDATION.values() if metric.short]


def result_table(report: Report) -> tuple[list[str], list[list[str]]]:
    """Header and rows for the validation and the test set, as far as known."""
    parts = (("validation", report.validation), ("test", report.test))
    return table_of([(part, report.split[part], scores) for part, scores in parts if scores is not None])


def table_of(parts: Sequence[tuple[str, int, Scores]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of sets: name, number of images, and scores, with the metrics of plugins that they have."""
    own = list(dict.fromkeys(name for _, _, scores in parts for name in scores.own))
    rows = [
        [part, f"{images:,}", *(each.text(getattr(scores, each.column)) for each in _IN_RESULTS),
         *("-" if (value := scores.own.get(name)) is None else f"{value:.4f}" for name in own)]
        for part, images, scores in parts
    ]  # fmt: skip
    return ["", "images", *(metric.label for metric in _IN_RESULTS), *(name.replace("_", " ") for name in own)], rows
