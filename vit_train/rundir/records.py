"""What the files of a run say, whole or in part."""

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vit_train.config import plugins, saved
from vit_train.config.convert import convert, flattened
from vit_train.config.saved import Saved
from vit_train.config.schema import Config
from vit_train.console import say
from vit_train.errors import CheckpointError, ConfigError
from vit_train.files import read_json, read_regular
from vit_train.rundir import history
from vit_train.rundir.history import Row
from vit_train.rundir.layout import RunDir

if TYPE_CHECKING:
    from vit_train.rundir.predictions import Predictions

T = TypeVar("T")
_PARTS = ("validation", "test", "training", "unknown")  # of a report, which are null or have keys of their own
_LONGEST_LOG = 2**26


def read_config(run: RunDir) -> dict[str, Any]:
    """Dotted key of today -> value, from config.yaml; raises CheckpointError if it cannot be read."""
    return flattened(_saved_config(run).values)


def load_config(run: RunDir, newer: bool = True) -> Config:
    """The config of a run, of whatever version, or with `newer` false of none that is newer than this program.

    Raises CheckpointError if config.yaml cannot be read, or is none, and ConfigError as `require_plugins` does.
    """
    found = _saved_config(run)
    if found.newer and not newer:
        raise CheckpointError(f"{run.config}: is of version {found.version}, this vit-train of {saved.VERSION}")
    found.note_if_newer()
    _require_plugins(run, found)
    try:
        return convert(Config, found.values)
    except ConfigError as error:
        raise CheckpointError(f"{run.config}: {error}") from error


def require_plugins(run: RunDir) -> None:
    """Raises ConfigError if a run needs a plugin that the command does not name, or not as it was then."""
    if found := attempt(_saved_config, run):
        _require_plugins(run, found)


def _require_plugins(run: RunDir, config: Saved) -> None:
    plugins.require_named(config.values, str(run.path))
    if config.values.get("plugin"):
        plugins.require_same((attempt(read_environment, run) or {}).get("plugins"), str(run.path))


def _saved_config(run: RunDir) -> Saved:
    try:
        return saved.read(run.config)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error


def read_rows(run: RunDir) -> list[Row]:
    """The rows of history.csv, none before the end of the first epoch; raises CheckpointError if it cannot be read."""
    with _readable(run.history, derived=True):
        return history.read(run.history)


def read_report(run: RunDir) -> dict[str, Any]:
    """report.json, {} if there is none yet; raises CheckpointError if it cannot be read."""
    with _readable(run.report_json, derived=True):
        try:
            report = read_json(run.report_json)
        except FileNotFoundError:
            return {}
        if (
            not isinstance(report, dict)
            or "status" not in report
            or not all(isinstance(report.get(part) or {}, dict) for part in _PARTS)
        ):
            raise ValueError("it is no report")
        return report


def read_environment(run: RunDir) -> dict[str, Any]:
    """environment.json; raises CheckpointError if it cannot be read."""
    with _readable(run.environment):
        environment = read_json(run.environment)
        if not isinstance(environment, dict) or not environment:
            raise ValueError("it does not describe where a run took place")
        return environment


def read_predictions(run: RunDir) -> "Predictions":
    """predictions.csv; raises CheckpointError if it cannot be read."""
    from vit_train.rundir import predictions  # which loads numpy, for which a command that reads a config does not wait

    with _readable(run.predictions, derived=True):
        return predictions.read(run.predictions)


def attempt(read: Callable[[RunDir], T], run: RunDir, note: bool = False) -> T | None:
    """What `read` gives, or None where the file is absent or damaged, which a line on stderr says if `note`."""
    try:
        return read(run)
    except CheckpointError as error:
        if note:
            say(f"note: {error}")
        return None


def state(run: RunDir) -> str:
    """completed, running, interrupted (it can be resumed) or failed."""
    status = (attempt(read_report, run) or {}).get("status")
    if status == "completed":
        return "completed"
    if run.in_use:
        return "running"
    return status if status in ("interrupted", "failed") else _state_by_log(run.log)


def _state_by_log(path: Path) -> str:
    """Of a run without a report: failed if the last that was said is an error and not that it was stopped."""
    try:
        text = read_regular(path, _LONGEST_LOG).decode(errors="replace")
        lines = re.findall(r"^\d{4}-\d\d-\d\d \S+ (INFO|ERROR) (.*)$", text, re.MULTILINE)
    except OSError:
        lines = []
    level, text = lines[-1] if lines else ("INFO", "")
    return "failed" if level == "ERROR" and not text.startswith("stopped by ") else "interrupted"


@contextmanager
def _readable(path: Path, derived: bool = False) -> Iterator[None]:
    """Raises CheckpointError for what cannot be read; with `derived` it says how to make the file again."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        hint = f"; make it again with: vit-runs repair {shlex.quote(str(path.parent))}" if derived else ""
        raise CheckpointError(f"{path}: cannot be read ({reason}){hint}") from error
