"""The state of a run on disk: whole, verified, and replaced in one step.

A checkpoint is the folder `checkpoints/step-NNNNNNNNNN`. It is written under another name, flushed, read back and
compared, and only then given its name. So a folder of that name is complete, and the one with the highest step is the
newest; there is no pointer that could say otherwise. The one before it is kept in case the disk damages the newest.

    latest.npz      every variable of model, optimizer and metrics, in their order
    best.npz        every variable of the model in the best epoch so far; absent before the end of the first
    progress.json   what else has to be known to continue
    manifest.json   size and SHA-256 of each of these
"""

import hashlib
import io
import json
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vit_train.errors import CheckpointError
from vit_train.files import flush_folder

Arrays = dict[str, np.ndarray]

_MANIFEST = "manifest.json"
_KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """All of a run's state; `progress` holds plain values, among them "step", the number of steps taken."""

    latest: Arrays
    best: Arrays
    progress: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Adds a checkpoint to `folder` and removes all but the two newest.

    Raises CheckpointError if the disk refuses or gives back something else; what was there before stays.
    """
    final = folder / f"step-{checkpoint.progress['step']:010}"
    part = folder / f".{final.name}.part"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        _write(part, checkpoint)
        _verify(part)
        if final.exists():  # of an earlier attempt at this step, which is not worse than this one
            shutil.rmtree(final)
        part.rename(final)
        flush_folder(folder)
        for old in _complete(folder)[_KEPT:]:
            shutil.rmtree(old)
    except (OSError, CheckpointError) as error:
        shutil.rmtree(part, ignore_errors=True)
        reason = error.strerror or error if isinstance(error, OSError) else error
        raise CheckpointError(
            f"{final}: could not be written ({reason}); the checkpoint before it is as it was; make room or fix the "
            f"disk, then continue with resume={folder.parent}"
        ) from error


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
    return sorted(folder.glob("step-*"), reverse=True)


def _write(part: Path, checkpoint: Checkpoint) -> None:
    progress = json.dumps(checkpoint.progress).encode()
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
            os.fsync(file.fileno())
    flush_folder(part)


def _pack(arrays: Arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _verify(path: Path) -> None:
    """Raises CheckpointError unless the files are those of the manifest."""
    try:
        manifest = json.loads((path / _MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{_MANIFEST} cannot be read") from error
    for name, expected in manifest.items():
        with (path / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if (path / name).stat().st_size != expected["bytes"] or found != expected["sha256"]:
            raise CheckpointError(f"{name} is not what was written")


def _read(path: Path) -> Checkpoint:
    try:
        latest = _arrays(path / "latest.npz")
        best = _arrays(path / "best.npz") if (path / "best.npz").exists() else {}
        return Checkpoint(latest, best, json.loads((path / "progress.json").read_bytes()))
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(str(error)) from error


def _arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
