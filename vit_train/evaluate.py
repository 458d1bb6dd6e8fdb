"""Logits -> metrics."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scores:
    """Mean cross-entropy in nats, and accuracies as fractions in [0, 1]."""

    loss: float
    accuracy: float
    top5_accuracy: float


@dataclass(frozen=True)
class ClassScores:
    """Accuracies on the `support` images of one class, as fractions in [0, 1]; None without images."""

    name: str
    accuracy: float | None
    top5_accuracy: float | None
    support: int


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The place of the true class among all: int [N] from logits [N, K] and labels [N]; 0 is a right answer.

    Of classes that tie, the one of lower index comes first, as with argmax.
    """
    true = logits[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    places: np.ndarray = np.sum((logits > true) | ((logits == true) & earlier), axis=1)
    return places


def score(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Scores of float logits [N, K] for int labels [N]; softmax and means in float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rank = ranks(logits, labels)
    return Scores(
        loss=float(-log_probabilities[np.arange(len(labels)), labels].mean()),
        accuracy=float((rank < 1).mean()),
        top5_accuracy=float((rank < 5).mean()),
    )


def score_classes(logits: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> list[ClassScores]:
    """One row per class, in order."""
    rank = ranks(logits, labels)
    rows = []
    for index, name in enumerate(class_names):
        own = rank[labels == index]
        top1, top5 = (float((own < k).mean()) if len(own) else None for k in (1, 5))
        rows.append(ClassScores(name, top1, top5, len(own)))
    return rows
