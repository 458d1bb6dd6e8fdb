"""Where a run took place: versions, git state, machine and command."""

import dataclasses
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from vit_train.config.schema import Config
from vit_train.errors import CheckpointError, DataError
from vit_train.files import is_there
from vit_train.rundir import records
from vit_train.rundir.layout import RunDir

_PACKAGES = ("vit-train", "keras", "tensorflow", "jax", "torch", "numpy", "hydra-core", "omegaconf", "scikit-learn")


def describe_environment(device: str, devices: int = 1, command: str | None = None) -> dict[str, Any]:
    """Plain values for environment.json; a package or a checkout that is not there is null."""
    return {
        "command": command,
        "working_directory": str(Path.cwd()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor("model name") or platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "device": device,
        "devices": devices,
        "packages": {name: _version(name) for name in _PACKAGES},
        "git": _git_state(Path(__file__).resolve().parents[2]),
    }


def with_data_from_here(run: RunDir, config: Config) -> Config:
    """The run's config with the paths of its data set as seen from here.

    A relative one that is not here is looked for where the run started.
    """
    names = {"root", "exclude", "classes"} & {field.name for field in dataclasses.fields(config.dataset)}
    paths: dict[str, Any] = {name: data_root(run, getattr(config.dataset, name)) for name in names}
    return dataclasses.replace(config, dataset=dataclasses.replace(config.dataset, **paths))


def data_root(run: RunDir, path: str | None) -> str | None:
    """A path of the run's data set as seen from here."""
    if path is None or Path(path).exists():
        return path
    try:
        there = Path(records.read_environment(run)["working_directory"]) / path
        return str(there) if there.exists() else path
    except (CheckpointError, OSError, ValueError, KeyError, TypeError):
        return path


def require_same_data(run: RunDir, data_sha256: str | None) -> None:
    """Raises DataError if a run that has begun did so with other data; `data_sha256` is a Dataset's fingerprint.

    Raises CheckpointError if its environment.json cannot be read.
    """
    if not is_there(run.environment):
        return
    if records.read_environment(run).get("data_sha256") != data_sha256:
        raise DataError(
            f"{run.path}: the pictures are not those that the run began with; bring them back or start a new run"
        )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_cores() -> list[int]:
    """Those this process may use; none where the system cannot share them out."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def processor(fact: str) -> str:
    """What /proc/cpuinfo says of the first processor, such as its "model name" or its "flags"; "" if it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(fact)), "")


def _git_state(checkout: Path) -> dict[str, Any] | None:
    """Commit of the checkout that holds this package and whether its files differ from it; None for a wheel."""
    if not (checkout / ".git").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(["git", "-C", checkout, *command], capture_output=True, text=True, check=True).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit, "modified": bool(changes)}
