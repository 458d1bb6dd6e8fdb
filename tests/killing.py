"""Starting, killing and comparing real runs: for end_to_end/test_kills.py and chaos.py."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CLOCK = ("seconds", "images_per_second")
ARGUMENTS = (
    "experiment=quickstart",
    "model.depth=1",
    "model.image_size=8",
    "train.epochs=3",
    "train.checkpoint.every=4",
    "train.early_stopping.patience=2",
    "schedule.warmup=5",
    "dataset.fraction=0.5",
    "train.batch_size=32",
    "compute.devices=cpu",
    "figures=false",
)


def start(*arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """Starts `vit-train` in the folder `cwd`."""
    path = os.pathsep.join([str(ROOT / "tests" / "faults"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "vit_train", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Waits for the end; returns exit code (negative for a signal), stdout and stderr."""
    stdout, stderr = process.communicate(timeout=300)
    return process.returncode, stdout, stderr


def complete(*arguments: str, cwd: Path, **environment: str) -> Path:
    """Runs to the end and returns the run directory; fails unless the exit code is 0."""
    code, stdout, stderr = finish(start(*arguments, cwd=cwd, **environment))
    assert code == 0, stderr
    return cwd / stdout.splitlines()[-1]


def result_of(run: Path) -> dict[str, Any]:
    """All that must be equal: arrays of the last state and of the best epoch, history and report without the clock."""
    newest = max(run.glob("checkpoints/step-*"))
    values: dict[str, Any] = {}
    for name in ("latest", "best"):
        with np.load(newest / f"{name}.npz") as file:
            values |= {f"{name}/{key}": file[key] for key in file.files}
    with (run / "history.csv").open(newline="") as file:
        values["history"] = [{key: row[key] for key in row if key not in CLOCK} for row in csv.DictReader(file)]
    report = json.loads((run / "report.json").read_text())
    assert report["status"] == "completed"
    report["training"] = {key: value for key, value in report["training"].items() if key not in CLOCK}
    values["predictions"] = (run / "predictions.csv").read_bytes()
    return {**values, "report": {**report, "run_dir": None}}


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Names of what is not bit for bit the same."""
    names = sorted(ours.keys() | theirs.keys())
    return [name for name in names if name not in ours or name not in theirs or not _same(ours[name], theirs[name])]


def _same(a: Any, b: Any) -> bool:
    return a.tobytes() == b.tobytes() if isinstance(a, np.ndarray) else a == b
