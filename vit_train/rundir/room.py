"""Whether a run will find what it needs to the end, asked before it begins."""

import math
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vit_train.errors import CheckpointError
from vit_train.rundir.layout import RunDir

_BYTES_PER_PREDICTION = 300
_BYTES_OF_FIGURES = 8 << 20  # and of the page that holds them once more
_AT_ONCE = 3  # checkpoints: two are kept while another is written


def bytes_of(variables: Iterable[Any]) -> int:
    """Of Keras variables, 4 bytes a number, as checkpoints and models have them."""
    return sum(4 * math.prod(variable.shape) for variable in variables)


def require_room(run: RunDir | None, outputs: str, model: int, optimizer: int, images: int, figures: bool) -> None:
    """Raises CheckpointError where a disk is too small for a run, or a folder of one that continues is not writable.

    `run` is None for a new one; `model` and `optimizer` are bytes, `images` is how many predictions there will be.
    """
    for folder in (run.path, run.checkpoints, run.figures) if run else ():
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            raise CheckpointError(f"{folder}: cannot be written to, and the run needs it; give yourself the permission")
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


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):,.1f} MiB"
