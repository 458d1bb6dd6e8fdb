"""Measures rows of docs/results.md: reproduce.py ROW... [--seeds 0,1,2] [KEY=VALUE ...], see rows.yaml.

A ROW may be a pattern, as in 'transfer_*'. A seed that was interrupted continues where it was; one that is in
docs/results.json is not measured again. A row that starts from the weights of another one has that trained first.
--status tells how far each is and trains nothing. --rows and --docs are for tables of one's own.
"""

import argparse
import fnmatch
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from benchmarks import page
from vit_train.files import replace_file
from vit_train.metrics import TRAINING, VALIDATION
from vit_train.rundir import history
from vit_train.rundir.layout import RunDir
from vit_train.runs.listing import summarize

ROWS = Path(__file__).with_name("rows.yaml")
BEGIN = "<!-- written by make reproduce -->"


def main() -> int:
    """Measures, records and writes the table; returns the exit code of the first run that fails, or 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arguments", nargs="+", metavar="ROW|KEY=VALUE")
    parser.add_argument("--seeds", help="such as 0,1,2 (default: those of the row)")
    parser.add_argument("--status", action="store_true", help="tell how far the rows are, and train nothing")
    parser.add_argument("--idle", action="store_true", help="take only what the processor's cores have left (Linux)")
    parser.add_argument("--rows", type=Path, default=ROWS, help="a file such as benchmarks/rows.yaml")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of results.json and results.md")
    parser.add_argument("--outputs", type=Path, default=Path("outputs/reproduce"), help="folder of the runs")
    options = parser.parse_intermixed_args()
    rows = yaml.safe_load(options.rows.read_text())
    overrides = [each for each in options.arguments if "=" in each]
    wanted = [row for each in options.arguments if each not in overrides for row in fnmatch.filter(rows, each)]
    if not wanted:
        parser.error(f"no row is called {' '.join(options.arguments)}; the rows are {', '.join(rows)}")
    if options.idle:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # and so do the runs, which inherit it
    for row in wanted:
        for seed in _seeds(options.seeds or rows[row]["seeds"]):
            if options.status:
                print(f"{row}, seed {seed}: {_state(row, seed, options)}")
            elif code := _measure(row, seed, rows, options, overrides):
                return code
    return 0


def _state(row: str, seed: int, options: argparse.Namespace) -> str:
    if _is_recorded(row, seed, options.docs / "results.json"):
        return "measured"
    runs = sorted((options.outputs / row / f"seed-{seed}").glob("*/*/"))
    if not runs:
        return "not begun"
    summary = summarize(RunDir(runs[-1]), options.outputs)
    best = summary.best_val_accuracy
    reached = "" if best is None else f", validation accuracy {best:.4f}"
    return f"{summary.state}, epoch {summary.epochs} of {summary.epochs_asked}{reached}"


def _is_recorded(row: str, seed: int, results: Path) -> bool:
    return any((each["row"], each["seed"]) == (row, seed) for each in _recorded(results))


def _recorded(results: Path) -> list[dict[str, Any]]:
    return json.loads(results.read_text()) if results.exists() else []


def _seeds(text: object) -> list[int]:
    return [int(seed) for seed in str(text).split(",")]


def _measure(row: str, seed: int, rows: dict[str, Any], options: argparse.Namespace, overrides: list[str]) -> int:
    """Trains a seed of a row and records it, unless that was done; returns an exit code."""
    results = options.docs / "results.json"
    if _is_recorded(row, seed, results):
        print(f"{row}, seed {seed}: is in {results}; take it out there to measure it again")
        return 0
    run, code = _run(row, seed, rows, options.outputs, overrides)
    if run is None:
        return code
    record = _record(row, seed, rows[row], run, overrides)
    measured = [*_recorded(results), record]  # read now: another row may have ended meanwhile
    lines = ",\n".join(json.dumps(each) for each in measured)  # a run is a line
    replace_file(results, f"[\n{lines}\n]\n")
    _write_table(options.docs / "results.md", rows, measured)
    return 0


def _run(row: str, seed: int, rows: dict[str, Any], outputs: Path, overrides: list[str]) -> tuple[RunDir | None, int]:
    """The finished run of a seed, trained now unless it was before, or None and an exit code."""
    folder = outputs / row / f"seed-{seed}"
    if found := next(_finished(folder), None):
        return found, 0
    command = [*rows[row]["arguments"].split(), f"seed={seed}", f"outputs={folder}", "resume=auto", *overrides]
    if source := rows[row].get("init"):
        run, code = _run(source, _seeds(rows[source]["seeds"])[0], rows, outputs, overrides)
        if run is None:
            return None, code
        command.append(f"init={run.path}")
    code = subprocess.run([sys.executable, "-m", "vit_train", *command], check=False).returncode
    return (None if code else next(_finished(folder))), code


def _finished(folder: Path) -> Iterator[RunDir]:
    return (run for run in map(RunDir, folder.glob("*/*/")) if run.finished)


def _record(row: str, seed: int, described: dict[str, Any], run: RunDir, overrides: list[str]) -> dict[str, Any]:
    """What docs/results.json keeps of a run, epochs to six digits; where its data lies is nobody's business."""
    init = f" init=RUN_OF_{described['init'].upper()}" if "init" in described else ""
    besides = "".join(f" {each}" for each in overrides if not each.startswith("dataset.root="))
    columns = *TRAINING, *VALIDATION, "seconds"
    report, environment = (json.loads(path.read_text()) for path in (run.report_json, run.environment))
    return {
        "row": row,
        "seed": seed,
        "command": f"vit-train {described['arguments']}{besides}{init} seed={seed}",
        "test": report["test"],
        "epochs": [{name: float(f"{each[name]:.6g}") for name in columns} for each in history.read(run.history)],
        "best_epoch": report["best_epoch"],
        "seconds": round(report["training"]["seconds"]),
        "date": date.fromtimestamp(run.report_json.stat().st_mtime).isoformat(),
        **page.machine(environment),
    }


def _write_table(path: Path, rows: dict[str, Any], measured: list[dict[str, Any]]) -> None:
    """Puts the table into the page, between its two marks."""
    lines = [
        "| row | published | test accuracy | top-5 | seeds | epochs | minutes | device | what |",
        "| :-- | " + "--: | " * 7 + ":-- |",
    ]
    for name, row in rows.items():
        published = row.get("published")
        cells = [f"`{name}`", f"{published['accuracy']:.3f} / {published['top5_accuracy']:.3f}" if published else "-"]
        cells += _figures([each for each in measured if each["row"] == name], row.get("of"))
        lines.append(f"| {' | '.join([*cells, row['note']])} |")
    page.write_between_marks(path, BEGIN, "\n".join(lines))


def _figures(runs: list[dict[str, Any]], of: int | None) -> list[str]:
    """Cells [accuracy, top-5, seeds, epochs, minutes of training (median), device] of the runs of a row.

    `of` are the epochs of the training whose beginning the row is.
    """
    if not runs:
        return ["not measured", *[""] * 5]
    figures = [_mean(run["test"][name] for run in runs) for name in ("accuracy", "top5_accuracy")]
    minutes = statistics.median(run["seconds"] for run in runs) / 60
    epochs = f"{len(runs[0]['epochs'])}{f' of {of}' if of else ''}"
    return [*figures, str(len(runs)), epochs, f"{minutes:.1f}", runs[0]["device"]]


def _mean(values: Iterator[float]) -> str:
    """Mean and, of several, standard deviation of a sample."""
    numbers = list(values)
    spread = f" ± {statistics.stdev(numbers):.3f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.3f}{spread}"


if __name__ == "__main__":
    sys.exit(main())
