"""The leaderboard of a sweep: in the terminal, and as sweep.csv, sweep.json and sweep.html."""

import csv
import dataclasses
import io
import math
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress

from vit_train.console import print_table, put, say_error, stdout
from vit_train.errors import CheckpointError
from vit_train.files import replace_file
from vit_train.sweep import out_of_fold, page
from vit_train.sweep.plan import Sweep
from vit_train.sweep.ranking import (
    FOLDS_NOTE,
    job_table,
    pruned,
    ranked,
    search_summary,
    spread_table,
    spreads,
    unfinished,
    why,
)
from vit_train.text import csv_cell

_FIGURES = ("validation_accuracy", "test_accuracy", "parameters", "seconds", "best_epoch")
_SHOWN = 20  # in the terminal
_SECONDS_BETWEEN_PAGES = 30.0


def write(sweep: Sweep) -> None:
    """Writes sweep.csv, sweep.json, sweep.html and, of folds, predictions.csv; raises CheckpointError if that fails."""
    sweep.save(
        leaderboard=[job.number for job in ranked(sweep)], spreads=[dataclasses.asdict(each) for each in spreads(sweep)]
    )
    try:
        replace_file(sweep.path / "sweep.csv", _csv(sweep))
        replace_file(sweep.path / "sweep.html", page.render(sweep))
        out_of_fold.write(sweep)
    except OSError as error:
        raise CheckpointError(f"{sweep.path}: cannot be written to ({error.strerror})") from error


def renewed(sweep: Sweep, show: Callable[[], None]) -> Callable[[], None]:
    """Does `show`, and writes sweep.html again some time after a job has ended: drawing takes a second."""
    seen, written = 0, -math.inf

    def both() -> None:
        nonlocal seen, written
        show()
        ended = sum(job.state in ("completed", "failed", "pruned") for job in sweep.jobs)
        if ended != seen and time.monotonic() - written >= _SECONDS_BETWEEN_PAGES:
            seen, written = ended, time.monotonic()
            with suppress(OSError):  # the last one says so
                replace_file(sweep.path / "sweep.html", page.render(sweep, running=True))

    return both


def _csv(sweep: Sweep) -> str:
    """A line for each job, those without a result last."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", *map(csv_cell, sweep.keys), *_FIGURES, "state", "reason", "run", "log"])
    for job in [*ranked(sweep), *pruned(sweep), *unfinished(sweep)]:
        figures = [job.result.get(name) for name in _FIGURES]
        last = [job.state, job.reason, job.result.get("run"), sweep.log(job) if sweep.log(job).exists() else None]
        texts = [value if value is None else csv_cell(str(value)) for value in last]
        writer.writerow([job.number, *map(csv_cell, job.varied.values()), *figures, *texts])
    return text.getvalue()


def show(sweep: Sweep) -> None:
    """Prints the leaderboard and the spread over seeds to stdout, and a line for each failure to stderr."""
    if jobs := ranked(sweep):
        header, rows, text_columns = job_table(sweep.keys, jobs[:_SHOWN], stdout.width)
        print_table(header, rows, text_columns, ruled=False)
        if len(jobs) > _SHOWN:
            print(f"and {len(jobs) - _SHOWN} more in sweep.csv and sweep.html")
    if found := spreads(sweep)[:_SHOWN]:
        print()
        header, rows = spread_table(found)
        print_table(header, rows, text_columns=len(found[0].varied), ruled=False)
        if "dataset.fold" in sweep.keys:
            put(textwrap.fill(FOLDS_NOTE, stdout.width))
    if summary := search_summary(sweep):
        print(f"\n{summary}")
    for job in unfinished(sweep):
        say_error(f"run {job.number} ({job.name}): {why(sweep, job)}")
