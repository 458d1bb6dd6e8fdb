"""Every picture is read once before any training: a bad file is found now and not in the third epoch."""

import hashlib
from collections.abc import Sequence
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vit_train.console import say, stderr
from vit_train.data.image_files import read_image_file
from vit_train.errors import DataError

Sums = npt.NDArray[np.int64]

_FAULTS_SHOWN = 20


class BadFiles(DataError):
    """Picture files that cannot be used; `faults` has the path of each, and what is wrong with it."""

    def __init__(self, faults: dict[str, str]) -> None:
        first = next(iter(faults.values()))
        super().__init__(f"{first} (bad files in all: {len(faults):,})" if len(faults) > 1 else first)
        self.faults = faults


def check_image_files(paths: Sequence[str], side: int, max_pixels: int) -> tuple[Sums, list[bytes]]:
    """Reads every file at `side` x `side`, in as many threads as there are processors, and keeps none of them.

    Files with more than `max_pixels` are bad ones.
    Returns the sums of the values of each picture's channels and of their squares, int64 [N, 2, 3], and the sha256 of
    each file. Raises BadFiles, naming the first bad file and how many others are bad; up to 20 of them are shown.
    """
    say(f"checking {len(paths):,} pictures")
    sums, digests, faults = np.zeros((len(paths), 2, 3), np.int64), [], {}
    columns = (TextColumn("checked"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        ThreadPool() as pool,
        Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress,
    ):
        checked = pool.imap(partial(_check, side=side, max_pixels=max_pixels), paths, chunksize=16)
        for row, (found, digest, fault) in enumerate(progress.track(checked, total=len(paths))):
            sums[row] = found
            digests.append(digest)
            if fault is not None:
                faults[paths[row]] = str(fault)
    if faults:
        for text in list(faults.values())[1 : _FAULTS_SHOWN + 1]:
            say(text)
        raise BadFiles(faults)
    return sums, digests


def _check(path: str, side: int, max_pixels: int) -> tuple[Sums, bytes, DataError | None]:
    try:
        values = read_image_file(Path(path), side, side, max_pixels).reshape(-1, 3).astype(np.int64)
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except DataError as error:
        return np.zeros((2, 3), np.int64), b"", error
    except OSError as error:  # it was there a moment ago
        return np.zeros((2, 3), np.int64), b"", DataError(f"{path}: cannot be read ({error.strerror}); fix that")
    return np.stack([values.sum(axis=0), (values**2).sum(axis=0)]), digest, None
