"""Splits that are even over classes and never part what belongs together: folds, validation and test sets."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Integers = npt.NDArray[np.integer]
Groups = npt.NDArray[np.int64]


def together(groups: Sequence[str] | None, digests: Sequence[bytes]) -> Groups:
    """int64 [N]: a number for each picture, the same of all that are of one group, copies of each other, or both.

    It may be by way of others: a copy of a patient's picture among those of another patient makes one of the two.
    """
    _, contents = np.unique(np.array(digests, object), return_inverse=True)
    if groups is None:
        return contents.astype(np.int64)
    names, owners = np.unique(np.array(groups, object), return_inverse=True)
    size = len(names) + int(contents.max()) + 1
    edges = coo_array((np.ones(len(owners), np.int8), (owners, len(names) + contents)), shape=(size, size))
    return np.asarray(connected_components(edges, directed=False)[1][owners], np.int64)


def distribute(labels: Integers, groups: Integers, weights: Sequence[float], priority: Integers) -> Groups:
    """int64 [N]: which of F parts each of N examples goes to, whole groups to one, each class as `weights` [F] have it.

    A group goes where it adds least to the sum over parts and classes of load^2 / weight, the load being the part's
    fraction of the class; the groups that weigh most come first. It is the rule of scikit-learn's StratifiedGroupKFold
    with the variance in place of the standard deviation, and parts of any size. What is a group by itself then fills
    each class up, so that without larger groups no part is more than an example off. `priority` [N], each number once,
    decides where the rule does not.
    """
    share = np.asarray(weights, float) / np.sum(weights)
    totals = np.bincount(labels)
    counts, sizes = np.zeros((len(share), len(totals)), np.int64), np.zeros(len(share), np.int64)
    parts = np.zeros(len(labels), np.int64)
    alone = np.bincount(groups)[groups] == 1
    for members in _heaviest_first(labels, groups, ~alone, priority):
        found, number = np.unique(labels[members], return_counts=True)
        more, load = number / totals[found], counts[:, found] / totals[found]
        cost = (more * (2 * load + more)).sum(axis=1) / share
        part = int(np.lexsort((sizes / share, cost.round(9)))[0])
        parts[members] = part
        counts[part, found] += number
        sizes[part] += len(members)
    for label in range(len(totals)):
        rows = np.flatnonzero(alone & (labels == label))
        rows = rows[np.argsort(priority[rows])]
        added = _filled_up(counts[:, label], len(rows), share, sizes)
        parts[rows] = np.repeat(np.arange(len(share)), added)
        sizes += added
    return parts


def _heaviest_first(
    labels: Integers, groups: Integers, chosen: npt.NDArray[np.bool_], priority: Integers
) -> list[Integers]:
    """The rows of each group of the `chosen` examples: those with the most of their classes first."""
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return []
    rows = rows[np.lexsort((priority[rows], groups[rows]))]
    members = np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1)
    totals = np.bincount(labels)
    weights = [float((1 / totals[labels[each]]).sum()) for each in members]
    order = np.lexsort((priority[[each[0] for each in members]], -np.round(weights, 9)))
    return [members[place] for place in order]


def _filled_up(before: Integers, number: int, share: npt.NDArray[np.float64], sizes: Integers) -> Integers:
    """How many of `number` examples of a class go to each part, [F], which has `before` of it and `sizes` in all.

    Every part gets one of them, as long as there are enough.
    """
    open_ = np.ones(len(share), bool)  # parts that do not have more than they should
    while True:
        wanted = share / share[open_].sum() * (before[open_].sum() + number) - before
        if (wanted[open_] >= 0).all():
            break
        open_ &= wanted >= 0
    wanted = np.where(open_, wanted, 0).round(9)
    added = np.floor(wanted).astype(np.int64)
    rest = number - int(added.sum())
    added[np.lexsort((sizes / share, added - wanted))[:rest]] += 1
    while not (before + added).all():
        giver = int(np.argmax(np.where(added > 0, before + added, 0)))
        if added[giver] == 0 or before[giver] + added[giver] < 2:
            break
        added[giver] -= 1
        added[np.argmin(before + added)] += 1
    return added
