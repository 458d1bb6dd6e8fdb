"""A run's metrics in other programs, besides in its directory; what fails there is a note and no more.

A log is a module of its key's name beside this one, with `open_log(config, run) -> Log`.
"""

import dataclasses
import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from vit_train.config.schema import Config, LoggingConfig
from vit_train.console import logger, say
from vit_train.errors import ConfigError, Interrupted
from vit_train.report import writer
from vit_train.rundir import history
from vit_train.rundir.history import Row
from vit_train.rundir.layout import RunDir


class Log(Protocol):
    """A place for the metrics of one run. It may hold some already, of an earlier process of the same run."""

    def steps(self, name: str) -> set[int]:
        """Where on its x axis, the step, the figure of this name is there."""

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Takes figures with the names of history.csv, or test_* for those of the test set."""

    def files(self, step: int) -> None:
        """Takes what there is of figures/, and of what else it keeps."""

    def close(self, status: str) -> None:
        """`status` is FINISHED, KILLED or FAILED."""


class Loggers:
    """The logs that a config asks for."""

    def __init__(self, config: Config, run: RunDir) -> None:
        self.run = run
        self.logs: dict[str, Log] = {}
        self.steps: dict[str, set[int]] = {}  # of the epochs that each has
        for name in _wanted(config.logging):
            with self._noted(name):
                self.logs[name] = _open(name, config, run)
                self.steps[name] = self.logs[name].steps("loss")

    def epochs(self, rows: Sequence[Row]) -> None:
        """Logs those rows of history.csv that a log does not have.

        So an epoch is there once, though a killed run may train it twice, and none is missing if logging began late.
        """
        for name, log in list(self.logs.items()):
            with self._noted(name):
                for row in rows:
                    if (step := int(row["step"])) not in self.steps[name]:
                        log.figures(step, {name: value for name, value in row.items() if name != "step"})
                        self.steps[name].add(step)

    def close(self, status: str) -> None:
        """Logs the files and the test figures of the run directory, as far as there are any."""
        for name, log in list(self.logs.items()):
            with self._noted(name):
                rows, step = history.read(self.run.history), 0
                if rows and (step := int(rows[-1]["step"])) not in log.steps("test_loss"):
                    log.files(step)
                    log.figures(step, _test_figures(self.run))
                log.close(status)

    @contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.logs.pop(name, None)
            say(f"note: logging.{name} ended early ({type(error).__name__}: {error}); the run continues without it")
            logger.info("traceback", exc_info=True)


@contextmanager
def opened(config: Config, run: RunDir) -> Iterator[Loggers]:
    """The logs of a run, which learn how it ends."""
    loggers = Loggers(config, run)
    try:
        yield loggers
    except BaseException as error:
        loggers.close("KILLED" if isinstance(error, Interrupted) else "FAILED")
        raise
    loggers.close("FINISHED")


def require_installed(settings: LoggingConfig) -> None:
    """Raises ConfigError if the package of a log is missing."""
    for name in _wanted(settings):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"logging.{name}=true: {name} is not installed; pip install 'vit-train[{name}]'")


def _wanted(settings: LoggingConfig) -> list[str]:
    return [name for name, wanted in vars(settings).items() if wanted]


def _open(name: str, config: Config, run: RunDir) -> Log:
    # It imports its package, which a run without it does not pay for.
    log: Log = importlib.import_module(f"vit_train.report.{name}").open_log(config, run)
    return log


def _test_figures(run: RunDir) -> dict[str, float]:
    scores = writer.read(run).test
    values = dataclasses.asdict(scores) | scores.own if scores else {}
    return {f"test_{name}": value for name, value in values.items() if isinstance(value, float)}
