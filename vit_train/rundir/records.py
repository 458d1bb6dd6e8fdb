"""What the files of a run say, whole or in part."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from vit_train.config import saved
from vit_train.config.convert import convert
from vit_train.config.saved import Saved
from vit_train.config.schema import Config
from vit_train.errors import CheckpointError, ConfigError
from vit_train.rundir import history
from vit_train.rundir.history import Row
from vit_train.rundir.layout import RunDir

T = TypeVar("T")


def read_config(run: RunDir) -> dict[str, Any]:
    """Dotted key of today -> value, from config.yaml; raises CheckpointError if it cannot be read."""
    return dict(_flatten(_saved_config(run).values))


def load_config(run: RunDir) -> Config:
    """The config of a run, of whatever version; raises CheckpointError if config.yaml cannot be read, or is none."""
    found = _saved_config(run)
    found.note_if_newer()
    try:
        return convert(Config, found.values)
    except ConfigError as error:
        raise CheckpointError(f"{run.config}: {error}") from error


def _saved_config(run: RunDir) -> Saved:
    try:
        return saved.read(run.config)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error


def read_rows(run: RunDir) -> list[Row]:
    """The rows of history.csv, none before the end of the first epoch; raises CheckpointError if it cannot be read."""
    with _readable(run.history):
        rows = history.read(run.history)
        if rows and not rows[0].keys() >= set(history.COLUMNS):
            raise ValueError
        return rows


def read_report(run: RunDir) -> dict[str, Any]:
    """report.json, {} if there is none yet; raises CheckpointError if it cannot be read."""
    with _readable(run.report_json):
        return dict(json.loads(run.report_json.read_bytes())) if run.report_json.exists() else {}


def attempt(read: Callable[[RunDir], T], run: RunDir) -> T | None:
    """What `read` gives, or None where the file is absent or damaged."""
    try:
        return read(run)
    except CheckpointError:
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
        lines = re.findall(r"^\d{4}-\d\d-\d\d \S+ (INFO|ERROR) (.*)$", path.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        lines = []
    level, text = lines[-1] if lines else ("INFO", "")
    return "failed" if level == "ERROR" and not text.startswith("stopped by ") else "interrupted"


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}, it is damaged"
        raise CheckpointError(f"{path}: cannot be read ({reason}); the run has to be made again") from error


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
