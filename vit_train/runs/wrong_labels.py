"""Labels that are likely wrong, by what is said of each picture by models that have not learned from it."""

import numpy as np
import numpy.typing as npt

from vit_train.rundir.predictions import Predictions


def likely_wrong(
    found: Predictions, classes: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """(rows [M], the classes [M] that they rather are, margins [M]) of N out-of-fold predictions, the surest first.

    Confident learning (C. Northcutt, L. Jiang and I. Chuang, arXiv 1911.00068): with p(j) the probability of class j,
    the threshold of class j is t_j = mean of p(j) over the pictures that are labelled j. A picture counts as one of the
    class of largest p(j) among those with p(j) >= t_j. Those that count as another class than their label, the counts
    off the diagonal of the confident joint, are likely wrong, unless their most probable class is the label, as
    cleanlab has it. The margin, by which they are ranked, is p(label) - max p(j) of other classes, in [-1, 1].

    Only the five most probable classes of each picture are known and considered. Of a class without a picture nothing
    is said.
    """
    counts = np.bincount(found.labels, minlength=classes)
    sums = np.bincount(found.labels, found.true_probabilities.astype(np.float64), classes)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    shares = found.top_probabilities.astype(np.float64)
    confident = shares >= thresholds[found.top] - 1e-6  # of float32
    place = np.where(confident, shares, -1).argmax(axis=1)
    rather = found.top[np.arange(len(found)), place]
    wrong = np.flatnonzero(confident.any(axis=1) & (rather != found.labels) & ~found.right)
    margins = found.true_probabilities[wrong].astype(np.float64) - shares[wrong, 0]
    order = np.argsort(margins, kind="stable")
    return wrong[order], rather[wrong][order], margins[order]
