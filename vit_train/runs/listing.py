"""`vit-runs list`: a table of runs."""

import argparse
import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vit_train.console import print_table, say
from vit_train.rundir import find, history, records
from vit_train.rundir.layout import RunDir
from vit_train.runs import index

_HEADER = ["run", "data", "model", "state", "epochs", "val", "test"]


@dataclass(frozen=True)
class Summary:
    """A run in a line, with None for what its files do not say. Accuracies are fractions in [0, 1]."""

    name: str
    path: str
    dataset: str | None
    model: str | None
    epochs: int
    epochs_asked: int | None
    best_val_accuracy: float | None
    test_accuracy: float | None
    state: str


def run(options: argparse.Namespace) -> int:
    """Prints a line for each run, oldest first."""
    runs = find.all_runs(options.outputs, sweeps=True)
    found = index.looked_up(runs, options.outputs, _read)
    summaries = [_summary(run, options.outputs, fields) for run, fields in zip(runs, found, strict=True)]
    if options.json:
        print(json.dumps([dataclasses.asdict(summary) for summary in summaries], indent=2))
    elif summaries:
        print_table(_HEADER, [_row(summary) for summary in summaries], text_columns=4, ruled=False)
    else:
        say(f"there are no runs in {options.outputs}; vit-train makes one, --outputs DIR names another folder")
    return 0


def summarize(run: RunDir, outputs: Path) -> Summary:
    """What the files of `run` say, however few or damaged they are; a line on stderr names each that cannot be read."""
    return _summary(run, outputs, _read(run))


def _summary(run: RunDir, outputs: Path, fields: dict[str, Any]) -> Summary:
    return Summary(name=find.name(run, outputs), path=str(run.path), **fields)


def _read(run: RunDir) -> dict[str, Any]:
    config = records.attempt(records.read_config, run, note=True) or {}
    rows = records.attempt(records.read_rows, run, note=True) or []
    test = (records.attempt(records.read_report, run, note=True) or {}).get("test") or {}
    return {
        "dataset": config.get("dataset.name"),
        "model": config.get("model.name"),
        "epochs": len(rows),
        "epochs_asked": config.get("train.epochs"),
        "best_val_accuracy": history.best(rows, "val_accuracy").get("val_accuracy") if rows else None,
        "test_accuracy": test.get("accuracy"),
        "state": records.state(run),
    }


def short_name(name: str) -> str:
    """Month to second, which fit into a line of 80 columns, and by which find_run nearly always knows the run."""
    short = re.findall(r"\d\d-\d\d/\d\d-\d\d-\d\d", name)  # of a sweep's run the last is its own
    return short[-1] if short else name


def _row(summary: Summary) -> list[str]:
    return [
        short_name(summary.name),
        summary.dataset or "-",
        summary.model or "-",
        summary.state,
        f"{summary.epochs}/{summary.epochs_asked or '-'}",
        *("-" if share is None else f"{share:.1%}" for share in (summary.best_val_accuracy, summary.test_accuracy)),
    ]
