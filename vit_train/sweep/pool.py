"""Runs the jobs of a sweep, so many at once, each in a process of its own, and stops them when asked to."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from vit_train.config import plugins
from vit_train.errors import CheckpointError
from vit_train.sweep import results
from vit_train.sweep.devices import Share
from vit_train.sweep.launchers import Launcher, Process
from vit_train.sweep.plan import Job, Sweep
from vit_train.text import setting

_SECONDS_BETWEEN_LOOKS = 0.2
# Exit codes of who was asked to stop: by itself, and, while it loads its libraries, by the system.
_STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)


class Search(Protocol):
    """What makes up the jobs of a sweep while it runs."""

    def next_job(self) -> Job | None:
        """One more job of the sweep, waiting, or None if there shall be no more."""

    def hopeless(self, job: Job) -> bool:
        """Whether a running job shall be stopped."""


@dataclass(frozen=True)
class _Running:
    job: Job
    share: Share
    process: Process


class Pool:
    """The jobs of a sweep that run at once, one for each of `shares`; a search adds jobs and stops hopeless ones."""

    def __init__(self, sweep: Sweep, shares: list[Share], launcher: Launcher, search: Search | None = None) -> None:
        self.sweep, self.shares, self.launcher, self.search = sweep, shares, launcher, search
        self.running: list[_Running] = []
        self.stops: list[int] = []  # signals that asked the sweep to stop
        self.forwarded = 0  # of them

    def run(self, show: Callable[[], None]) -> int | None:
        """Runs every waiting job to its end, calling `show` often; returns the signal that stopped it, if any."""
        with self._signals_noted():
            while self.running or (not self.stops and self._next()):
                self._start()
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                self._forward()
                self._prune()
                self._reap()
                show()
        return self.stops[0] if self.stops else None

    def _next(self) -> Job | None:
        waiting = next((job for job in self.sweep.jobs if job.state == "waiting"), None)
        return waiting or (self.search.next_job() if self.search else None)

    def _start(self) -> None:
        """Starts waiting jobs while there is a share for them."""
        while not self.stops and len(self.running) < len(self.shares) and (job := self._next()):
            taken = [each.share for each in self.running]
            share = next(share for share in self.shares if taken.count(share) < self.shares.count(share))
            command = arguments(self.sweep, job)
            job.state, job.exit_code, job.reason = "running", None, None
            self.sweep.save()  # before it starts, so that no job runs that the file does not know
            process = self.launcher.start(command, self.sweep.log(job), share)
            self.running.append(_Running(job, share, process))

    def _reap(self) -> None:
        ended = [(each, code) for each in self.running if (code := each.process.poll()) is not None]
        for each, code in ended:
            each.process.close()
            self.running.remove(each)
            _conclude(self.sweep, each.job, code, bool(self.stops))
        if ended:
            self.sweep.save()

    def _prune(self) -> None:
        for each in self.running:
            if self.search and each.job.state == "running" and self.search.hopeless(each.job):
                each.job.state = "pruned"
                self.sweep.save()
                each.process.signal(signal.SIGTERM)

    def _forward(self) -> None:
        """Hands the first SIGINT or SIGTERM on to the jobs, which save their state; a second one kills them."""
        if len(self.stops) == self.forwarded:
            return
        number = self.stops[0] if len(self.stops) == 1 else signal.SIGKILL
        self.forwarded = len(self.stops)
        for each in self.running:
            each.process.signal(number)

    @contextmanager
    def _signals_noted(self) -> Iterator[None]:
        previous: dict[int, Any] = {
            number: signal.signal(number, lambda number, frame: self.stops.append(number))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for each in self.running:  # after an error of ours
                each.process.signal(signal.SIGTERM)
            while any(each.process.poll() is None for each in self.running):
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            for number, handler in previous.items():
                signal.signal(number, handler)


def _conclude(sweep: Sweep, job: Job, code: int, stopping: bool) -> None:
    """Notes how a job ended. Only a report shows that it is completed: code of a user's own could exit with 0."""
    job.exit_code = code
    if found := results.result(sweep.run(job)):
        job.state, job.result = "completed", found
    elif job.state == "pruned":
        best = max(results.accuracies(sweep.run(job)))
        job.result, job.reason = {"validation_accuracy": best}, f"was hopeless with {best:.2%} on validation"
    elif code in _STOPPED or stopping:
        job.state = "interrupted"
    else:
        job.fail(code, results.failure(code, sweep.log(job)))


def arguments(sweep: Sweep, job: Job) -> list[str]:
    """Those of `vit-train` for a job: to continue with its run if there is one that can, else to start it."""
    run = sweep.run(job)
    own = plugins.arguments()
    if run and job.exit_code != CheckpointError.exit_code:
        return [setting("resume", run.path), *own]
    config = ["--config", sweep.config] if sweep.config else []
    return [*config, *job.overrides, *own, setting("outputs", sweep.path / job.folder)]
