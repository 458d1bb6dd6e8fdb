"""Metrics that plugins register, as Keras takes them."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vit_train.config import plugins
from vit_train.config.own import ACTIVE
from vit_train.errors import ConfigError
from vit_train.metrics import Metric


def build(classes: int) -> list["OwnMetric"]:
    """Those of the files that are loaded, for so many classes; raises ConfigError, with file and line, if one fails."""
    metrics = [OwnMetric(metric, classes) for metric in ACTIVE.get().metrics]
    for metric in metrics:
        with keras.StatelessScope(), plugins.own_blamed():
            metric.update_state(ops.zeros(2, "int32"), ops.zeros((2, classes)))
            shape = tuple(ops.shape(metric.result()))
        if shape:
            raise ConfigError(f"metric={metric.name}: its result has the shape {shape}, and must be one number")
    return metrics


def results(metrics: Sequence["OwnMetric"]) -> dict[str, float]:
    """The value of each by its name."""
    return {metric.name: float(metric.result()) for metric in metrics}


class OwnMetric(keras.metrics.Metric):
    """A plugin's metric, by the name under which it is registered, of one-hot targets and probabilities."""

    def __init__(self, metric: Metric, classes: int) -> None:
        super().__init__(name=metric.column)
        assert metric.own is not None
        with plugins.own_blamed():
            self.inner = metric.own(classes)
        if not isinstance(self.inner, keras.metrics.Metric):
            found = type(self.inner).__name__
            raise ConfigError(f"metric={metric.column}: its function gives {found}, not a keras.metrics.Metric")
        self.classes = classes

    def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> None:
        """Labels, int [B], logits, float [B, K], and weights, float [B], of which those above 0 count alike."""
        weights = ops.ones(ops.shape(logits)[0]) if sample_weight is None else ops.cast(sample_weight > 0, "float32")
        labels = ops.one_hot(ops.cast(targets, "int32"), self.classes, dtype="float32")
        self.inner.update_state(labels, ops.softmax(ops.cast(logits, "float32")), weights)

    def result(self) -> Any:
        return self.inner.result()

    def reset_state(self) -> None:
        self.inner.reset_state()
