"""The network as it is trained: with optimizer, loss and metrics, and the resample if that is on the device."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from vit_train.config.schema import Config
from vit_train.data.images import ImageSource
from vit_train.data.pipeline import steps_per_epoch
from vit_train.metrics import Metric
from vit_train.models.resample import Resample
from vit_train.training.optimizer import build_optimizer


def compile_model(network: keras.Model, training: ImageSource, config: Config) -> keras.Model:
    """The network to be trained on `training`."""
    model = _with_resampling(network, config, training.size)
    model.compile(
        optimizer=build_optimizer(config, model, steps_per_epoch(len(training), config)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[
            FiniteCrossEntropy(),
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5_accuracy"),
        ],
    )
    # Keras makes these variables with the first batch; a checkpoint is restored before that.
    model.optimizer.build(model.trainable_variables)
    with keras.StatelessScope():  # several replicas of TensorFlow cannot count outside of a step
        model.compute_metrics(None, np.zeros(1, "int32"), np.zeros((1, model.output_shape[-1]), "float32"))
    return model


def measured(logs: Mapping[str, Any], part: Mapping[str, Metric]) -> dict[str, float]:
    """What Keras says of an epoch so far, by the columns of `part`, which is metrics.TRAINING or VALIDATION."""
    # Keras' own "loss" is of what is minimised, and stays NaN after a non-finite step.
    names = {column: {"loss": "cross_entropy"}.get(metric.column, metric.column) for column, metric in part.items()}
    return {column: float(logs[name]) for column, name in names.items()}


@keras.saving.register_keras_serializable(package="vit_train")
class TrainedModel(keras.Model):
    """Counts each example once in its metrics, whatever its weight in the loss; and those of weight 0 not at all."""

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        once = None if sample_weight is None else keras.ops.sign(sample_weight)
        return super().compute_metrics(x, y, y_pred, once)


def _with_resampling(network: keras.Model, config: Config, source: tuple[int, int]) -> keras.Model:
    """A model of the same layers to compile, so that `network` stays free of what belongs to training.

    The resample is in front if augmentation is placed on the device; `source` is (height, width) of the images.
    """
    if config.augment.placement == "host":
        return TrainedModel(network.input, network.output, name="on_host")
    images = keras.Input((*source, 3), dtype="uint8", name="images")
    transforms = keras.Input((8,), dtype="float32", name="transforms")
    resampled = Resample(config.model.image_size, name="resample")(images, transforms)
    return TrainedModel({"images": images, "transforms": transforms}, network(resampled), name="on_device")


@keras.saving.register_keras_serializable(package="vit_train")
class FiniteCrossEntropy(keras.metrics.Metric):
    """Mean cross-entropy, in nats, over the examples where it is finite; NaN if there are none.

    Labels are int [B], logits float [B, K]; examples of weight 0 are left out, all others count alike. Keras' own mean
    of the loss would be NaN for an epoch with one non-finite step.
    """

    def __init__(self, name: str = "cross_entropy", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, labels: Any, logits: Any, sample_weight: Any = None) -> None:
        losses = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        counted = ops.isfinite(losses)
        if sample_weight is not None:
            counted = ops.logical_and(counted, sample_weight > 0)
        self.total.assign_add(ops.sum(ops.where(counted, losses, 0.0)))
        self.count.assign_add(ops.sum(ops.cast(counted, self.count.dtype)))

    def result(self) -> Any:
        return self.total / self.count
