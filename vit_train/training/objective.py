"""The network as it is trained: with optimizer, loss and metrics, and the resample if that is on the device."""

from typing import Any

import keras
import numpy as np

from vit_train.config.schema import Config
from vit_train.data.images import ImageSource
from vit_train.data.pipeline import steps_per_epoch
from vit_train.models.resample import Resample
from vit_train.training.guard import FiniteCrossEntropy
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
