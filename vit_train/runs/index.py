"""What was read of completed runs, kept beside them for the next `vit-runs list`: OUTPUTS/.list.json.

An entry holds while the files that it was read from are the same: by inode, size, and time of the last change, which
no program can set. All else is read again: a run that is not completed, a file that is damaged or that changed a moment
ago, an index of another version. Without the index everything is the same, but slower.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from vit_train.files import read_regular, replace_file
from vit_train.rundir.layout import RunDir

Fields = dict[str, Any]
_NAME = ".list.json"
_FORMAT = 1  # higher when something else is read
_MOST_BYTES = 2**27
_SETTLED = 5  # seconds after which a change has another time than the one before, on whatever file system


def looked_up(runs: Iterable[RunDir], outputs: Path, read: Callable[[RunDir], Fields]) -> list[Fields]:
    """What `read` gives of each run: `state`, and what else follows from its config, history and report."""
    known = _load(outputs / _NAME)
    kept: dict[str, Any] = {}
    found = []
    for run in runs:
        name, files = os.path.relpath(run.path, outputs), _files(run)
        entry = known.get(name)
        if entry is None or entry[0] != files:
            entry = [files, read(run)]
        if _stays(*entry):
            kept[name] = entry
        found.append(entry[1])
    if kept != known:
        with suppress(OSError):  # of a folder that is another's, or a full disk
            _save(kept, outputs / _NAME)
    return found


def _stays(files: list[list[int]] | None, fields: Fields) -> bool:
    """Whether what was read is all there is, and any change that comes will have another time."""
    if files is None or fields["state"] != "completed" or None in fields.values():
        return False
    return all(time.time() - changed / 1e9 > _SETTLED for _, _, changed in files)


def _save(runs: dict[str, Any], path: Path) -> None:
    text = json.dumps({"version": _FORMAT, "runs": runs}, separators=(",", ":"))
    replace_file(path, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")


def _load(path: Path) -> dict[str, Any]:
    """The entries of a file that is as it was saved, by the name of the run: its files, and what was read."""
    try:
        digest, text = read_regular(path, _MOST_BYTES).split(b"\n", 1)
    except (OSError, ValueError):
        return {}
    if hashlib.sha256(text).hexdigest().encode() != digest:
        return {}
    index = json.loads(text)
    return dict(index["runs"]) if index["version"] == _FORMAT else {}


def _files(run: RunDir) -> list[list[int]] | None:
    """Inode, size and time of change of the files that are read; None if one is not there."""
    try:
        found = [os.stat(path) for path in (run.config, run.history, run.report_json)]  # noqa: PTH116, half as long
    except OSError:
        return None
    return [[each.st_ino, each.st_size, each.st_ctime_ns] for each in found]
