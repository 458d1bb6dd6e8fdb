"""What a job's files say: how far it is, what it found, why it failed."""

import re
import signal
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vit_train.rundir import history, records
from vit_train.rundir.layout import RunDir
from vit_train.sweep.plan import Sweep

_END = 2**16  # bytes of a log in which its last lines are
_FATAL = "Fatal Python error: "  # how the traceback begins that Python prints of a signal in native code


_RECENT = 5  # epochs that say how long the next ones take


@dataclass(frozen=True)
class Progress:
    """How far a run is; None before the end of the first epoch."""

    epoch: int = 0
    best_accuracy: float | None = None  # on the validation images, a fraction in [0, 1]
    seconds_left: float | None = None


def accuracies(run: RunDir | None) -> list[float]:
    """On the validation images after each epoch so far, fractions in [0, 1]."""
    rows = (records.attempt(records.read_rows, run) if run else None) or []
    return [row["val_accuracy"] for row in rows if "val_accuracy" in row]


def progress(run: RunDir | None, epochs: int) -> Progress:
    """From history.csv; the time left is that of the median of recent epochs for each, without early stopping."""
    rows = (records.attempt(records.read_rows, run) if run else None) or []
    if not rows:
        return Progress()
    seconds = [row["seconds"] for row in rows[-_RECENT:] if "seconds" in row]
    left = (epochs - len(rows)) * statistics.median(seconds) if seconds else None
    return Progress(len(rows), history.best(rows, "val_accuracy").get("val_accuracy"), left)


def seconds_left(sweep: Sweep) -> float | None:
    """Until every job has ended, with as many at once as run now; None while it is not known how long an epoch takes.

    What waits, or will be added by a search, is taken to need for an epoch the median of what completed jobs needed
    and running ones need so far.
    """
    running = [job for job in sweep.jobs if job.state == "running"]
    waiting = [job.epochs for job in sweep.jobs if job.state == "waiting"]
    waiting += [job.epochs for job in sweep.jobs[:1]] * (sweep.total - len(sweep.jobs))
    if not running and not waiting:
        return 0.0
    seen = {job.number: progress(sweep.run(job), job.epochs) for job in running}
    ended = [job for job in sweep.jobs if job.state == "completed" and job.epochs]
    known = [job.result["seconds"] / job.epochs for job in ended if "seconds" in job.result]
    for job in running:
        left, epochs = seen[job.number].seconds_left, job.epochs - seen[job.number].epoch
        known += [left / epochs] if left and epochs else []
    if not known:
        return None
    epoch = statistics.median(known)
    left_of = [each.seconds_left for each in seen.values()]
    of_running = [job.epochs * epoch if left is None else left for job, left in zip(running, left_of, strict=True)]
    return max([sum([*of_running, *(epochs * epoch for epochs in waiting)]) / max(1, len(running)), *of_running])


def result(run: RunDir | None) -> dict[str, Any] | None:
    """What a finished run found: accuracies as fractions in [0, 1], parameters, seconds of training; or None."""
    report = (records.attempt(records.read_report, run) if run else None) or {}
    if run is None or report.get("status") != "completed":
        return None
    try:
        return {
            "validation_accuracy": report["validation"]["accuracy"],
            "test_accuracy": (report["test"] or {}).get("accuracy"),
            "parameters": report["parameters"],
            "best_epoch": report["best_epoch"],
            "seconds": report["training"]["seconds"],
            "run": str(run.path),
        }
    except (KeyError, TypeError):  # a report that lacks them is damaged; resuming the run makes it again
        return None


def failure(exit_code: int, log: Path) -> str:
    """Why a job that ended with this code, negative for a signal, did so: the error in its log, or what is known."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _END))
        text = file.read().decode(errors="replace")
    # Each try to run the job begins with its command.
    said = re.split(r"^\$ vit-train .*", text, flags=re.MULTILINE)[-1]
    lines = re.findall(r"^\S.*", said.split(_FATAL)[0], re.MULTILINE)
    last = str(lines[-1]).strip() if lines else "nothing"
    if last.startswith("vit-train: "):
        return last.removeprefix("vit-train: ")
    if exit_code == -signal.SIGKILL:
        return "killed by SIGKILL, as systems do when memory runs out"
    end = f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"ended with exit code {exit_code}"
    return f"{end} before its report; the last it said was: {last}"
