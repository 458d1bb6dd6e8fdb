"""What a person sees during a sweep: a live table in a terminal, a line for each start and end elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vit_train.console import duration, say, stderr
from vit_train.sweep import results
from vit_train.sweep.plan import Job, Sweep
from vit_train.sweep.results import Progress
from vit_train.text import one_line

_SECONDS_BETWEEN_UPDATES = 1.0
_COLOURS = {  # that can be read on black and on white
    "running": "bold",
    "completed": "green",
    "pruned": "dim",
    "failed": "red",
    "interrupted": "magenta",
    "waiting": "dim",
}
_FRAME = 4  # lines that are no jobs: header, rule, counts, cursor


@contextmanager
def display(sweep: Sweep) -> Iterator[Callable[[], None]]:
    """Gives a function to call whenever something may have changed."""
    if not stderr.is_terminal:
        yield Lines(sweep).show
        return
    table = LiveTable(sweep)
    with Live(table.draw(), console=stderr, auto_refresh=False) as live:
        yield lambda: table.refresh(live)
        live.update(table.draw(), refresh=True)


class Lines:
    """A line for each job that starts or ends."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.states: dict[int, str] = {
            job.number: job.state for job in sweep.jobs if job.state in ("completed", "pruned")
        }

    def show(self) -> None:
        """Says what has changed since the last call."""
        for job in self.sweep.jobs:
            if job.state != self.states.get(job.number, "waiting"):
                self.states[job.number] = job.state
                left = _left(self.sweep) if job.state == "completed" else ""
                say(f"[{job.number}/{self.sweep.total}] {job.name}: {_news(job)}{left}")


def _news(job: Job) -> str:
    if job.state == "completed":
        found = job.result
        return f"completed, {found['validation_accuracy']:.2%} on validation, {duration(found['seconds'])}"
    return f"{job.state}: {job.reason}" if job.reason else job.state


def _left(sweep: Sweep) -> str:
    """What is left of all of it, if anything is and it is known."""
    seconds = results.seconds_left(sweep)
    return f"; about {duration(seconds)} left" if seconds else ""


class LiveTable:
    """A table of all jobs, or of as many as the terminal has lines for."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.seen: dict[int, tuple[str, Progress]] = {}
        self.drawn = time.monotonic()

    def refresh(self, live: Live) -> None:
        """Draws it again, but not more than once a second."""
        if time.monotonic() - self.drawn >= _SECONDS_BETWEEN_UPDATES:
            self.drawn = time.monotonic()
            live.update(self.draw(), refresh=True)

    def draw(self) -> Group:
        """The table as it is now."""
        jobs, room = self.sweep.jobs, max(1, stderr.height - _FRAME)
        counts = {state: sum(job.state == state for job in jobs) for state in _COLOURS}
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for name in ("run", "", "state", "epoch", "best val", "left"):
            # Where there is little room, rich takes it from what may be wrapped first.
            table.add_column(name, justify="left" if name in ("", "state") else "right", no_wrap=name != "")
        shown = jobs if len(jobs) <= room else sorted(jobs, key=lambda job: list(_COLOURS).index(job.state))[:room]
        for job in shown:
            table.add_row(*self._row(job))
        counts["waiting"] += self.sweep.total - len(jobs)
        parts = [f"{count} {state}" for state, count in counts.items() if count]
        return Group(table, Text(", ".join(parts) + _left(self.sweep)))

    def _row(self, job: Job) -> list[str | Text]:
        progress = self._progress(job)
        best, left = progress.best_accuracy, progress.seconds_left
        return [
            str(job.number),
            Text(one_line(job.name), overflow="ellipsis", no_wrap=True),
            Text(job.state, style=_COLOURS[job.state]),
            f"{progress.epoch}/{job.epochs}" if job.epochs else "-",
            "-" if best is None else f"{best:.1%}",
            duration(left) if left is not None and job.state == "running" else "-",
        ]

    def _progress(self, job: Job) -> Progress:
        """Reads the files of those jobs only that may have changed."""
        state, progress = self.seen.get(job.number, ("", Progress()))
        if job.state != state or state == "running":
            progress = results.progress(self.sweep.run(job), job.epochs)
            self.seen[job.number] = (job.state, progress)
        return progress
