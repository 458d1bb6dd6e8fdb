"""`vit-runs watch`: what is training now; by other machines, too, where a shared file system shares its locks."""

import argparse
import platform
import time
from pathlib import Path

from vit_train.console import duration, print_table, say, stdout
from vit_train.rundir import find, records
from vit_train.rundir.layout import RunDir
from vit_train.runs.listing import short_name, summarize

_HEADER = ["run", "data", "model", "epochs", "val", "epoch took", "left"]
_RECENT = 3  # epochs of which the time left is told


def run(options: argparse.Namespace) -> int:
    """Shows a line for each run in training, renewed in a terminal until there is none; elsewhere once."""
    while runs := [run for run in find.all_runs(options.outputs, sweeps=True) if run.in_use]:
        if stdout.is_terminal:
            stdout.clear()
        _show(runs, options.outputs)
        if not stdout.is_terminal:
            return 0
        time.sleep(options.every)
    say(f"nothing is training in {options.outputs}")
    return 0


def _show(runs: list[RunDir], outputs: Path) -> None:
    """The table, with the machines if there is another than this one."""
    hosts = [run.host for run in runs]
    if not set(hosts) - {platform.node(), ""}:
        print_table(_HEADER, [_row(run, outputs) for run in runs], text_columns=3, ruled=False)
        return
    rows = [[host or "-", *_row(run, outputs)] for host, run in zip(hosts, runs, strict=True)]
    print_table(["host", *_HEADER], rows, text_columns=4, ruled=False)


def _row(run: RunDir, outputs: Path) -> list[str]:
    summary = summarize(run, outputs)
    recent = [row["seconds"] for row in records.attempt(records.read_rows, run) or [] if "seconds" in row][-_RECENT:]
    took = sum(recent) / len(recent) if recent else None
    left = took * (summary.epochs_asked - summary.epochs) if took is not None and summary.epochs_asked else None
    return [
        short_name(summary.name),
        summary.dataset or "-",
        summary.model or "-",
        f"{summary.epochs}/{summary.epochs_asked or '-'}",
        "-" if summary.best_val_accuracy is None else f"{summary.best_val_accuracy:.1%}",
        *("-" if seconds is None else duration(seconds) for seconds in (took, left)),
    ]
