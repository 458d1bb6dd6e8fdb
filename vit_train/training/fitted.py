"""Heads that are fitted to features in place of being trained: `head=logistic`, `knn` and `prototypes`.

Shape suffixes: N training images, F width of the features, K classes.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from vit_train.config.heads import HeadConfig, KnnHeadConfig, LogisticHeadConfig
from vit_train.console import say
from vit_train.rundir.history import Row
from vit_train.training.evaluate import from_logits

_MOST_ITERATIONS = 300  # of L-BFGS
_MOST_MEASURED = 5000  # training images of which a head's figures are, or nearest neighbours would take longest there
_BATCH = 256

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


def fit(layer: Any, head: HeadConfig, number: int, features_NF: Floats, labels: Labels) -> None:
    """Gives the layer "logits" of a network its weights: those of fit `number` of the head, counted from 0.

    A fit is a function of the features alone, whatever was fitted before. Labels are 0 to K - 1, each there.
    """
    match head:
        case LogisticHeadConfig():
            layer.set_weights(logistic(features_NF, labels, head.l2[number]))
        case KnnHeadConfig():
            layer.set_weights([unit(features_NF), labels])
        case _:
            layer.set_weights([prototypes(features_NF, labels)])


def logistic(features_NF: Floats, labels: Labels, l2: float) -> tuple[Floats, Floats]:
    """Kernel [F, K] and bias [K] of least mean cross-entropy + l2 / 2 * the sum of squares of the kernel.

    The kernel is that for features of mean 0 and deviation 1, so that a strength means the same for every network; it
    is given back for the features as they are. scikit-learn's L-BFGS finds it.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, deviation = features_NF.mean(axis=0), features_NF.std(axis=0)
    deviation = np.where(deviation > 0, deviation, np.float32(1))
    two = labels.max() == 1  # of whose kernel scikit-learn has one column, their difference: half of its squares count
    model = LogisticRegression(C=(2 if two else 1) / (l2 * len(labels)), max_iter=_MOST_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit((features_NF - mean) / deviation, labels)
    if model.n_iter_.max() >= _MOST_ITERATIONS:
        say(f"note: head=logistic: l2={l2:g} is not at its minimum after {_MOST_ITERATIONS} steps of L-BFGS")
    kernel, bias = model.coef_.T, model.intercept_
    if two:
        kernel, bias = (np.concatenate([-each, each], axis=-1) / 2 for each in (kernel, bias))
    kernel = kernel / deviation[:, None]
    return kernel.astype(np.float32), (bias - mean @ kernel).astype(np.float32)


def prototypes(features_NF: Floats, labels: Labels) -> Floats:
    """[F, K]: of each class the mean of its features, all of which count as of length 1, made of length 1 again."""
    of_class_NK = np.eye(labels.max() + 1, dtype=np.float32)[labels]
    return unit(of_class_NK.T @ unit(features_NF)).T


def unit(x: Floats) -> Floats:
    """Each row of [..., F] divided by its length; zeros stay zeros."""
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12))


def training_figures(layer: Any, head: HeadConfig, features_NF: Floats, labels: Labels) -> Row:
    """Loss and accuracies on the training images, or on 5,000 of them evenly spread, by the columns of history.csv.

    None of them is its own neighbour.
    """
    chosen = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), _MOST_MEASURED)).astype(int))
    options = {"without_nearest": 1} if isinstance(head, KnnHeadConfig) else {}
    starts = range(0, len(chosen), _BATCH)
    logits = [layer(features_NF[chosen[start : start + _BATCH]], **options) for start in starts]
    found = from_logits(np.concatenate([ops.convert_to_numpy(each) for each in logits]), labels[chosen])
    right = found.top == found.labels[:, None]
    return {
        "loss": float(found.losses.mean()),
        "accuracy": float(right[:, 0].mean()),
        "top5_accuracy": float(right.any(axis=1).mean()),
    }
