"""Every picture is read once before any training: a bad file is found now and not in the third epoch."""

from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.pool import ThreadPool

import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vit_train.console import say, stderr
from vit_train.errors import DataError

Sums = npt.NDArray[np.int64]

_FAULTS_SHOWN = 20


class BadFiles(DataError):
    """Picture files that cannot be used; `faults` has the path of each, and what is wrong with it."""

    def __init__(self, faults: dict[str, str]) -> None:
        first = next(iter(faults.values()))
        super().__init__(f"{first} (bad files in all: {len(faults):,})" if len(faults) > 1 else first)
        self.faults = faults


def check_images(
    called: Sequence[str], look: Callable[[int], tuple[npt.NDArray[np.uint8], bytes]]
) -> tuple[Sums, list[bytes]]:
    """Has a `look` at every picture, in as many threads as there are processors, and keeps none of them.

    `look` gives the pixels and the sha256 of the picture of a number, and raises DataError for a bad one.
    Returns the sums of the values of each picture's channels and of their squares, int64 [N, 2, C], and the sha256 of
    each picture.
    Raises BadFiles, naming the first bad one and how many others are bad; up to 20 of them are shown.
    """
    say(f"checking {len(called):,} pictures")
    sums, digests, faults = list[Sums](), list[bytes](), dict[str, str]()
    columns = (TextColumn("checked"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        ThreadPool() as pool,
        Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress,
    ):
        checked = pool.imap(partial(_check, look), range(len(called)), chunksize=16)
        for row, (found, digest, fault) in enumerate(progress.track(checked, total=len(called))):
            sums.append(found)
            digests.append(digest)
            if fault is not None:
                faults[called[row]] = str(fault)
    if faults:
        for text in list(faults.values())[1 : _FAULTS_SHOWN + 1]:
            say(text)
        raise BadFiles(faults)
    return np.stack(sums), digests


def _check(
    look: Callable[[int], tuple[npt.NDArray[np.uint8], bytes]], row: int
) -> tuple[Sums, bytes, DataError | None]:
    try:
        pixels, digest = look(row)
    except DataError as error:
        return np.zeros(0, np.int64), b"", error
    values = pixels.reshape(-1, pixels.shape[-1]).astype(np.int64)
    return np.stack([values.sum(axis=0), (values**2).sum(axis=0)]), digest, None
