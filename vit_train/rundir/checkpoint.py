"""The state of a run on disk: whole, verified, and replaced in one step.

A checkpoint is the folder `checkpoints/step-NNNNNNNNNN`. It is written under another name, flushed, read back and
compared, and only then given its name. So a folder of that name is complete, and the one with the highest step is the
newest; there is no pointer that could say otherwise. The one before it is kept in case the disk damages the newest.
A step that is saved again is `step-NNNNNNNNNN-2`, since one folder cannot take the place of another in one step.

    latest.npz      every variable of model, optimizer and metrics, in their order
    best.npz        every variable of the model in the best epoch so far; absent before the end of the first
    progress.json   what else has to be known to continue, and the version of the format; 1 if it says none
    manifest.json   size and SHA-256 of each of these
"""

import hashlib
import io
import json
import math
import re
import shutil
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vit_train.config.saved import VERSION
from vit_train.console import say_once
from vit_train.errors import CheckpointError
from vit_train.files import flush, flush_folder, read_json
from vit_train.text import to_resume

Arrays = dict[str, np.ndarray]

_MANIFEST = "manifest.json"
_NEEDED, _FILES = {"latest.npz", "progress.json"}, {"latest.npz", "best.npz", "progress.json"}
_NAME = re.compile(r"step-(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Checkpoint:
    """All of a run's state; `progress` holds plain values, among them "step", the number of steps taken."""

    latest: Arrays
    best: Arrays
    progress: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Adds a checkpoint to `folder`, and removes all but it and the newest of an earlier step.

    Raises CheckpointError if the disk refuses or gives back something else; what was there before stays.
    """
    tidy(folder)
    final = _free_name(folder, checkpoint.progress["step"])
    part = folder / f".{final.name}.part"
    try:
        part.mkdir()
        _write(part, checkpoint)
        _verify(part)
        part.rename(final)
        if not flush_folder(folder):
            say_once(f"note: {folder}: its file system cannot flush a folder; a power cut may cost a checkpoint")
    except (OSError, CheckpointError) as error:
        shutil.rmtree(part, ignore_errors=True)
        reason = error.strerror or error if isinstance(error, OSError) else error
        raise CheckpointError(
            f"{final}: could not be written ({reason}); the checkpoint before it is as it was; make room or fix the "
            f"disk, then continue with {to_resume(folder.parent)}"
        ) from error
    # Those of later steps are damaged, or `load` would have taken one; so is, perhaps, an earlier one of this step.
    earlier = [path for path in _complete(folder) if _order(path)[0] < checkpoint.progress["step"]]
    for path in _complete(folder):
        if path not in (final, *earlier[:1]):
            _remove(path)


def tidy(folder: Path) -> None:
    """Takes up what killed processes left in `folder`: a whole checkpoint gets its name, the rest is removed."""
    for path in folder.glob(".step-*"):
        if path.suffix == ".part" and _is_whole(path):
            path.rename(_free_name(folder, _order(path)[0]))
        else:
            _remove(path)


def load(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest sound checkpoint, or None if there is none at all; and a sentence about each damaged one passed over.

    Raises CheckpointError if there are checkpoints, but none that is sound.
    """
    damages: list[str] = []
    for path in _complete(folder):
        try:
            _verify(path)
            return _read(path), damages
        except (OSError, CheckpointError) as error:
            damages.append(f"{path}: is damaged ({error})")
    if damages:
        raise CheckpointError(f"{'; '.join(damages)}; no sound checkpoint is left, so start a new run")
    return None, damages


def _complete(folder: Path) -> list[Path]:
    """Complete checkpoints, newest first."""
    return sorted((path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)), key=_order, reverse=True)


def _order(path: Path) -> tuple[int, int]:
    """(step, how often it had been saved) of a name, which may be hidden."""
    match = _NAME.search(path.name)
    return (int(match[1]), int(match[2] or 1)) if match else (0, 0)


def _free_name(folder: Path, step: int) -> Path:
    """The name of the next checkpoint of this step."""
    saved = max((order[1] for order in map(_order, _complete(folder)) if order[0] == step), default=0)
    return folder / (f"step-{step:010}-{saved + 1}" if saved else f"step-{step:010}")


def _remove(path: Path) -> None:
    """Removes what is not needed, hidden first, so that no half of it has a name; nothing is lost where that fails."""
    try:
        if not path.name.startswith("."):
            path = path.rename(path.with_name(f".{path.name}.old"))
        shutil.rmtree(path)
    except OSError as error:
        say_once(f"note: {path}: is not needed and cannot be removed ({error.strerror or error}); remove it by hand")


def _write(part: Path, checkpoint: Checkpoint) -> None:
    progress = json.dumps({"version": VERSION, **checkpoint.progress}).encode()
    contents: dict[str, bytes] = {"latest.npz": _pack(checkpoint.latest), "progress.json": progress}
    if checkpoint.best:
        contents["best.npz"] = _pack(checkpoint.best)
    # Digests of what is in memory, so that reading back shows whether the disk has it.
    manifest = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()
    }
    for name, data in {**contents, _MANIFEST: json.dumps(manifest).encode()}.items():
        with (part / name).open("wb") as file:
            file.write(data)
            file.flush()
            flush(file.fileno())
    flush_folder(part)


def _pack(arrays: Arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _verify(path: Path) -> None:
    """Raises CheckpointError unless the files are those of the manifest."""
    try:
        manifest = read_json(path / _MANIFEST)
        expected = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in manifest.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{_MANIFEST} cannot be read") from error
    if not _NEEDED <= expected.keys() <= _FILES:
        raise CheckpointError(f"{_MANIFEST} names other files than a checkpoint has")
    for name, (size, digest) in expected.items():
        found = (path / name).stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:  # before reading, which a pipe would never end
            raise CheckpointError(f"{name} is not what was written")
        with (path / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise CheckpointError(f"{name} is not what was written")


def _is_whole(path: Path) -> bool:
    try:
        _verify(path)
    except (OSError, CheckpointError):
        return False
    return True


def _read(path: Path) -> Checkpoint:
    try:
        latest = _arrays(path / "latest.npz")
        best = _arrays(path / "best.npz") if (path / "best.npz").exists() else {}
        progress = read_json(path / "progress.json")
        if (version := progress.pop("version", 1)) > VERSION:
            raise CheckpointError(f"is of version {version}, this vit-train of {VERSION}")
        return Checkpoint(latest, best, progress)
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(str(error)) from error


def _arrays(path: Path) -> Arrays:
    _require_bounded(path)
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _require_bounded(path: Path) -> None:
    """Raises ValueError if the arrays of an .npz are or claim to be larger than what the file has."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as file:
                np.lib.format.read_magic(file)
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if math.prod(shape) * dtype.itemsize > entry.compress_size:
                raise ValueError(f"{path.name} has an array of {shape} in {entry.compress_size:,} bytes")
