"""Whether a run will find what it needs to the end, asked before it begins."""

import math
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vit_train.errors import CheckpointError
from vit_train.files import is_there
from vit_train.rundir.layout import RunDir

_BYTES_PER_PREDICTION = 300
_BYTES_OF_FIGURES = 8 << 20  # and of the page that holds them once more
_FILES = 80  # and folders, with all figures
_AT_ONCE = 3  # checkpoints: two are kept while another is written


def bytes_of(variables: Iterable[Any]) -> int:
    """Of Keras variables, 4 bytes a number, as checkpoints and models have them."""
    return sum(4 * math.prod(variable.shape) for variable in variables)


def require_room(run: RunDir | None, outputs: str, model: int, optimizer: int, images: int, figures: bool) -> None:
    """Raises CheckpointError where a disk is too small for a run, or one that continues cannot write what it has to.

    `run` is None for a new one; `model` and `optimizer` are bytes, `images` is how many predictions there will be.
    """
    for folder in (run.path, run.checkpoints, run.figures) if run else ():
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            raise CheckpointError(f"{folder}: cannot be written to, and the run needs it; give yourself the permission")
    for file in _written(run) if run else ():
        if is_there(file) and not file.is_file():
            raise CheckpointError(f"{file}: is no regular file, and the run has to write it; remove it")
    place = run.path if run else Path(outputs).expanduser().absolute()
    there = len(list(run.checkpoints.glob("step-*"))) if run else 0
    state = 2 * model + optimizer  # the latest weights and the best
    needed = max(1, _AT_ONCE - there) * state + model + images * _BYTES_PER_PREDICTION + figures * _BYTES_OF_FIGURES
    while not place.exists():
        place = place.parent
    if (free := shutil.disk_usage(place).free) < needed:
        raise CheckpointError(
            f"{place}: has {_mebibytes(free)} free, and this run needs about {_mebibytes(needed)}, most of it for "
            f"three checkpoints of {_mebibytes(state)}; make room, or take another disk with outputs="
        )
    about = os.statvfs(place)
    if about.f_files and about.f_favail < _FILES:  # some file systems have no such number
        raise CheckpointError(
            f"{place}: has room for {about.f_favail:,} more files whatever their size, and this run needs about "
            f"{_FILES}; remove some, or take another disk with outputs="
        )


def _written(run: RunDir) -> tuple[Path, ...]:
    """The files that a run writes, most of them at its end."""
    pages = (run.report_json, run.report_md, run.report_html)
    return (run.config, run.environment, run.log, run.history, run.model, run.predictions, run.out_of_fold, *pages)


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):,.1f} MiB"
