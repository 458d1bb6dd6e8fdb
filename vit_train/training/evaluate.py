"""Images -> logits -> predictions, batch by batch."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from vit_train.config.training import EvaluateConfig
from vit_train.rundir.predictions import Predictions, join
from vit_train.rundir.unknown import Rule, scores_of, threshold_for

PLACES = 5


def predict(
    model: Any,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    mirror: bool = False,
    metrics: Sequence[Any] = (),
) -> Predictions:
    """What a Keras model from images [B, H, W, C] to logits says of `batches` of (images, labels).

    With `mirror` it says it by the mean of the logits of each image and of its mirror image. Only one batch's logits
    are kept at a time; `metrics` of Keras are updated with them.
    """

    def one_batch(images: np.ndarray, labels: np.ndarray) -> Predictions:
        logits = np.asarray(model.predict_on_batch(images))
        if mirror:
            logits = (logits + np.asarray(model.predict_on_batch(images[:, :, ::-1]))) / 2
        for metric in metrics:
            metric.update_state(labels, logits)
        return from_logits(logits, labels)

    return join(one_batch(images, labels) for images, labels in batches)


def from_logits(logits: np.ndarray, labels: np.ndarray) -> Predictions:
    """Predictions from float logits [N, K] for labels [N]; softmax in float64."""
    rows = np.arange(len(labels))
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    probabilities = np.exp(log_probabilities)
    top = np.argsort(-shifted, axis=1, kind="stable")[:, :PLACES]  # stable: of ties the lower index comes first
    truth = np.zeros_like(probabilities)
    truth[rows, labels] = 1
    return Predictions(
        labels=labels.astype(np.int32),
        top=top.astype(np.int32),
        top_probabilities=np.take_along_axis(probabilities, top, axis=1).astype(np.float32),
        true_probabilities=probabilities[rows, labels].astype(np.float32),
        losses=-log_probabilities[rows, labels].astype(np.float32),
        briers=((probabilities - truth) ** 2).sum(axis=1).astype(np.float32),
        energies=-scores_of("energy", logits),
    )


def set_rule(model: Any, validation: Iterable[tuple[np.ndarray, np.ndarray]], config: EvaluateConfig) -> Rule | None:
    """Gives a model with preprocessing the rule that the config asks for, if any, and returns it.

    Its threshold is the one that refuses the wanted fraction of the `validation` images.
    """
    if config.unknown == "none":
        return None
    scores = predict(model, validation).scores(config.unknown)
    rule = Rule(config.unknown, threshold_for(scores, config.false_alarms), config.false_alarms)
    model.get_layer("class_names").unknown = rule
    return rule
