"""Where the jobs of a sweep run: a launcher starts one, and the pool looks after it until it ends."""

from pathlib import Path
from typing import Protocol

from vit_train.sweep.devices import Share


class Process(Protocol):
    """A job that was started. Its result is in its files; this tells whether it has ended, and stops it."""

    def poll(self) -> int | None:
        """The exit code once it has ended, negative for a signal."""

    def signal(self, number: int) -> None:
        """SIGINT and SIGTERM let it save its state and end; SIGKILL ends it at once."""

    def close(self) -> None:
        """Lets go of what is held for a job that has ended."""


class Launcher(Protocol):
    """Starts jobs."""

    def start(self, arguments: list[str], log: Path, share: Share) -> Process:
        """Starts `vit-train ARGUMENT ...` and appends what it prints to the log; raises VitTrainError if it cannot."""
