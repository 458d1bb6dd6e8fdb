"""Where the jobs of a sweep run: a launcher starts one, and the pool looks after it until it ends.

Whatever the launcher, a job's process is its own, prints into its log, and leaves its result in its run directory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from vit_train.config.launchers import LauncherConfig, RayConfig, SlurmConfig
from vit_train.errors import ConfigError
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

    def shares(self, jobs: int) -> list[Share]:
        """What each of so many jobs at once may use of this machine."""

    def holds(self, log: Path) -> bool:
        """Whether the job with this log outlived the sweep that started it; `start` then takes it over."""

    def start(self, arguments: list[str], log: Path, share: Share) -> Process:
        """Starts `vit-train ARGUMENT ...` and appends what it prints to the log; raises VitTrainError if it cannot."""


@contextmanager
def opened(config: LauncherConfig) -> Iterator[Launcher]:
    """The launcher that the config asks for; raises ConfigError if it is not to be had here."""
    if isinstance(config, SlurmConfig):
        _need("submitit", config.name)
        from vit_train.sweep.launchers.slurm import SlurmLauncher

        yield SlurmLauncher(config)
    elif isinstance(config, RayConfig):
        _need("ray", config.name)
        from vit_train.sweep.launchers.ray import connected

        with connected(config) as launcher:
            yield launcher
    else:
        from vit_train.sweep.launchers.local import LocalLauncher

        yield LocalLauncher()


def _need(package: str, launcher: str) -> None:
    if find_spec(package) is None:
        raise ConfigError(f"sweep.launcher={launcher}: needs {package}; pip install 'vit-train[{launcher}]'")
