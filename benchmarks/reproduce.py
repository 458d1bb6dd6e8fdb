"""Measures a row of docs/results.md: reproduce.py ROW [--seeds 0,1,2] [KEY=VALUE ...], see rows.yaml.

A seed that was interrupted continues where it was; one that is in docs/results.json is not measured again.
"""

import argparse
import json
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

ROWS = Path(__file__).with_name("rows.yaml")
BEGIN = "<!-- written by make reproduce -->"


def main() -> int:
    """Measures, records and writes the table; returns the exit code of the first run that fails, or 0."""
    rows = yaml.safe_load(ROWS.read_text())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("row", choices=rows)
    parser.add_argument("--seeds", help="such as 0,1,2 (default: those of the row)")
    parser.add_argument("--outputs", type=Path, default=Path("outputs/reproduce"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    options, overrides = parser.parse_known_args()
    results = options.docs / "results.json"
    for seed in map(int, str(options.seeds or rows[options.row]["seeds"]).split(",")):
        measured = json.loads(results.read_text()) if results.exists() else []
        if any((each["row"], each["seed"]) == (options.row, seed) for each in measured):
            print(f"{options.row}, seed {seed}: is in {results}; take it out there to measure it again")
            continue
        folder = options.outputs / options.row / f"seed-{seed}"
        if not any(_finished(folder)) and (code := _train(rows[options.row]["arguments"], seed, folder, overrides)):
            return code
        record = _record(options.row, seed, rows[options.row]["arguments"], next(_finished(folder)))
        replace_file(results, json.dumps([*measured, record], indent=1) + "\n")
        _write_table(options.docs / "results.md", rows, [*measured, record])
    return 0


def _finished(folder: Path) -> Iterator[RunDir]:
    return (run for run in map(RunDir, folder.glob("*/*/")) if run.finished)


def _train(arguments: str, seed: int, folder: Path, overrides: list[str]) -> int:
    command = [*arguments.split(), f"seed={seed}", f"outputs={folder}", "resume=auto", *overrides]
    return subprocess.run([sys.executable, "-m", "vit_train", *command], check=False).returncode


def _record(row: str, seed: int, arguments: str, run: RunDir) -> dict[str, Any]:
    """What docs/results.json keeps of a finished run."""
    report, environment = (json.loads(path.read_text()) for path in (run.report_json, run.environment))
    return {
        "row": row,
        "seed": seed,
        "command": f"vit-train {arguments} seed={seed}",
        "test": report["test"],
        "epochs": [{name: each[name] for name in (*TRAINING, *VALIDATION)} for each in history.read(run.history)],
        "best_epoch": report["best_epoch"],
        "seconds": round(report["training"]["seconds"]),
        "date": date.fromtimestamp(run.report_json.stat().st_mtime).isoformat(),
        **page.machine(environment),
    }


def _write_table(path: Path, rows: dict[str, Any], measured: list[dict[str, Any]]) -> None:
    """Puts the table into the page, between its two marks."""
    lines = [
        "| row | published | test accuracy | top-5 | seeds | epochs | device | what |",
        "| :-- | " + "--: | " * 6 + ":-- |",
    ]
    for name, row in rows.items():
        published = row.get("published")
        cells = [f"`{name}`", f"{published['accuracy']:.3f} / {published['top5_accuracy']:.3f}" if published else "-"]
        cells += _figures([each for each in measured if each["row"] == name])
        lines.append(f"| {' | '.join([*cells, row['note']])} |")
    page.write_between_marks(path, BEGIN, "\n".join(lines))


def _figures(runs: list[dict[str, Any]]) -> list[str]:
    """Cells [accuracy, top-5, seeds, epochs, device] of the runs of a row."""
    if not runs:
        return ["not measured", "", "", "", ""]
    figures = [_mean(run["test"][name] for run in runs) for name in ("accuracy", "top5_accuracy")]
    return [*figures, str(len(runs)), str(len(runs[0]["epochs"])), runs[0]["device"]]


def _mean(values: Iterator[float]) -> str:
    """Mean and, of several, standard deviation of a sample."""
    numbers = list(values)
    spread = f" ± {statistics.stdev(numbers):.3f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.3f}{spread}"


if __name__ == "__main__":
    sys.exit(main())
