"""Files of the same bytes, and what they do to a run's figures."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

TRAIN, TEST, VALIDATION = range(3)  # the parts that a picture may be in


def copy_notes(paths: list[str], labels: np.ndarray, parts: np.ndarray, digests: list[bytes]) -> Iterator[str]:
    """One note for each way in which pictures are there twice; `digests` tell the content of each of `paths`."""
    rows_of = defaultdict(list)
    for row, digest in enumerate(digests):
        rows_of[digest].append(row)
    groups = [rows for rows in rows_of.values() if len(rows) > 1]

    def of(*wanted: int) -> list[list[int]]:
        return [[row for row in rows if parts[row] in wanted] for rows in groups]

    good = "figures look too good"
    twice = of() if VALIDATION in parts else of(TRAIN)  # no harm where validation has pictures of its own
    for pairs, fact, effect in (
        (_pairs(of(TRAIN, TEST), parts), "the training and the test set share", f"the test {good}"),
        (_pairs(of(TRAIN, VALIDATION), parts), "the training and the validation set share", f"the validation {good}"),
        (_pairs(of(VALIDATION, TEST), parts), "the validation and the test set share", f"the test {good}"),
        (_pairs(groups, labels), "two classes share", "one of the labels is wrong"),
        (_pairs(twice, np.arange(len(paths))), "the training set has twice", "validation may see what was trained on"),
    ):
        if pairs:
            a, b = pairs[0]
            yield f"note: pictures that {fact}: {len(pairs):,}, such as {paths[a]} and {paths[b]}; {effect}"


def _pairs(groups: list[list[int]], key: np.ndarray) -> list[tuple[int, int]]:
    """From each group of rows its first and the next of another key, if there is one."""
    others = [(rows[0], next((row for row in rows if key[row] != key[rows[0]]), None)) for rows in groups if rows]
    return [(first, other) for first, other in others if other is not None]
