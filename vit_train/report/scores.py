"""Predictions -> figures of merit, by scikit-learn, SciPy and numpy. Accuracies and the like are in [0, 1]."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from vit_train.data.superclasses import Superclasses
from vit_train.rundir.predictions import Predictions
from vit_train.rundir.unknown import Rule

BINS = 15
Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Mean cross-entropy in nats, and accuracies; the balanced one is None where an older version measured.

    `own` are the metrics of plugins, by their names; None where one is not finite.
    """

    loss: float
    accuracy: float
    top5_accuracy: float
    balanced_accuracy: float | None = None
    own: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evaluation(Scores):
    """Scores on the test set, with 95 % intervals (Wilson) for the accuracies.

    `calibration_error` is the expected calibration error over 15 bins. `brier` is between 0 and 2. The macro averages
    are over the classes with test images; that of recall is the balanced accuracy. The superclass accuracy is None for
    data without superclasses.
    """

    accuracy_interval: Interval
    top5_accuracy_interval: Interval
    superclass_accuracy: float | None
    superclass_accuracy_interval: Interval | None
    macro_precision: float
    macro_recall: float
    macro_f1: float
    calibration_error: float
    brier: float


@dataclass(frozen=True)
class ClassScores:
    """Scores on the `support` test images of one class; None where they would be a division by zero.

    `accuracy` and `recall` are two names of one figure. `refused` is the fraction that a rule calls unknown; None
    without a rule.
    """

    name: str
    accuracy: float | None
    top5_accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    refused: float | None = None


@dataclass(frozen=True, eq=False)
class Calibration:
    """Images by confidence, in equal bins over [0, 1]; a bin holds its upper edge. NaN where a bin has no image.

    counts: int [BINS]. confidence, accuracy: float64 [BINS], means over the images of a bin.
    """

    counts: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy (Guo et al., arXiv 1706.04599)."""
        used = self.counts > 0
        gaps = np.abs(self.accuracy - self.confidence)[used]
        return float(gaps @ self.counts[used] / self.counts.sum())


def evaluate(predictions: Predictions, superclasses: Superclasses | None = None) -> Evaluation:
    """The scores of predictions on at least one image."""
    labels, guesses = predictions.labels, predictions.top[:, 0]
    macro = precision_recall_fscore_support(labels, guesses, labels=np.unique(labels), average="macro", zero_division=0)
    accuracy, interval = share(predictions.right)
    top5_accuracy, top5_interval = share(predictions.in_top)
    super_accuracy, super_interval = None, None
    if superclasses is not None:
        super_accuracy, super_interval = share(superclasses.index[labels] == superclasses.index[guesses])
    return Evaluation(
        loss=_mean(predictions.losses),
        accuracy=accuracy,
        top5_accuracy=top5_accuracy,
        balanced_accuracy=float(macro[1]),
        accuracy_interval=interval,
        top5_accuracy_interval=top5_interval,
        superclass_accuracy=super_accuracy,
        superclass_accuracy_interval=super_interval,
        macro_precision=float(macro[0]),
        macro_recall=float(macro[1]),
        macro_f1=float(macro[2]),
        calibration_error=calibration(predictions).error,
        brier=_mean(predictions.briers),
    )


def evaluate_classes(
    predictions: Predictions, class_names: Sequence[str], rule: Rule | None = None
) -> list[ClassScores]:
    """One row per class, in order."""
    refused = rule.refuses(predictions.scores(rule.score)) if rule else None
    columns = precision_recall_fscore_support(
        predictions.labels, predictions.top[:, 0], labels=np.arange(len(class_names)), zero_division=np.nan
    )
    rows = []
    for index, (name, precision, recall, f1, support) in enumerate(zip(class_names, *columns, strict=True)):
        own = predictions.labels == index
        recall_or_none = _or_none(recall)
        top5, unknown = (
            float(column[own].mean()) if column is not None and own.any() else None
            for column in (predictions.in_top, refused)
        )
        of_class = (recall_or_none, top5, _or_none(precision), recall_or_none, _or_none(f1), int(support), unknown)
        rows.append(ClassScores(name, *of_class))
    return rows


def confusion(predictions: Predictions, classes: int) -> npt.NDArray[np.int64]:
    """Number of images by true class and by most probable class: int [classes, classes]."""
    return np.asarray(confusion_matrix(predictions.labels, predictions.top[:, 0], labels=np.arange(classes)))


def calibration(predictions: Predictions) -> Calibration:
    """How often the model is right when it is so and so sure."""
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.digitize(predictions.confidence, edges, right=True) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):  # an empty bin is 0 / 0
        confidence, accuracy = (
            np.bincount(place, weights=values, minlength=BINS) / counts
            for values in (predictions.confidence, predictions.right)
        )
    return Calibration(counts, confidence, accuracy)


def share(hits: npt.NDArray[np.bool_]) -> tuple[float, Interval]:
    """The fraction of hits and its 95 % interval (Wilson's score interval)."""
    low, high = binomtest(int(hits.sum()), len(hits)).proportion_ci(0.95, method="wilson")
    return float(hits.mean()), (float(low), float(high))


def _mean(values: npt.NDArray[np.float32]) -> float:
    return float(values.mean(dtype=np.float64))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
