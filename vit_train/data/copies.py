"""Files of the same bytes, and what they do to a run's figures."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

TRAIN, TEST, VALIDATION = range(3)  # the parts that a picture may be in


def copy_notes(
    paths: list[str], labels: np.ndarray, parts: np.ndarray, digests: list[bytes], split_by_content: bool = False
) -> Iterator[str]:
    """One note for each way in which pictures are there twice; `digests` tell the content of each of `paths`.

    `split_by_content` says that the training set is split so that copies stay together.
    """
    rows_of = defaultdict(list)
    for row, digest in enumerate(digests):
        rows_of[digest].append(row)
    groups = [rows for rows in rows_of.values() if len(rows) > 1]

    def of(*wanted: int) -> list[list[int]]:
        return [[row for row in rows if parts[row] in wanted] for rows in groups]

    good = "figures look too good"
    apart = VALIDATION in parts or split_by_content  # it does no harm where validation has pictures of its own
    twice = of() if apart else of(TRAIN)
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


def group_notes(groups: list[str], parts: np.ndarray) -> Iterator[str]:
    """One note for each two parts that came with pictures of one group in both, though they should not."""
    of = [{groups[row] for row in np.flatnonzero(parts == part)} for part in (TRAIN, TEST, VALIDATION)]
    for one, other, sets in ((TRAIN, TEST, "training and the test"), (TRAIN, VALIDATION, "training and the validation"),
                             (VALIDATION, TEST, "validation and the test")):  # fmt: skip
        if both := sorted(of[one] & of[other]):
            good = "validation" if other == VALIDATION else "test"
            yield (f"note: groups that the {sets} set share: {len(both):,}, such as '{both[0]}'; the {good} figures "
                   "look too good")  # fmt: skip


def _pairs(groups: list[list[int]], key: np.ndarray) -> list[tuple[int, int]]:
    """From each group of rows its first and the next of another key, if there is one."""
    others = [(rows[0], next((row for row in rows if key[row] != key[rows[0]]), None)) for rows in groups if rows]
    return [(first, other) for first, other in others if other is not None]
