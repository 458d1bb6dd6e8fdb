"""The objective: what a batch is measured by. Loss, metrics, and the network compiled with them.

A batch is (inputs, targets) or (inputs, targets, weights). Targets are labels, int [B], or distributions over the
classes, float [B, K], where images are mixed. Weights are float [B] and scale the loss of an example; one of weight 0
only fills a batch up, and is in no metric.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vit_train.config.convert import nearest
from vit_train.config.schema import Config
from vit_train.config.training import LossConfig
from vit_train.data.images import ImageSource
from vit_train.data.pipeline import steps_per_epoch
from vit_train.data.sampling import images_per_epoch
from vit_train.errors import ConfigError
from vit_train.machine.backend import batch_parts
from vit_train.metrics import Metric
from vit_train.models.blocks import TransformerBlock
from vit_train.models.resample import Augment, augmentation_inputs
from vit_train.models.resolution import at_size
from vit_train.training import own_metrics
from vit_train.training.accumulate import Accumulating
from vit_train.training.batch_parts import InParts
from vit_train.training.optimizer import build_optimizer

register = keras.saving.register_keras_serializable(package="vit_train")


def compile_model(
    network: keras.Model, training: ImageSource, config: Config, class_names: Sequence[str]
) -> keras.Model:
    """The network to be trained on `training`; raises ConfigError if a class with a weight is not in `class_names`."""
    weights = class_weights(config.loss, training.labels, class_names)
    for block in network.layers if config.train.recompute else ():
        if isinstance(block, TransformerBlock):
            block.recompute = True
    model = _with_augmentation(network, config, training.size, config.model.image_size)
    steps = steps_per_epoch(images_per_epoch(training.labels, config), config)
    optimizer = build_optimizer(config, model, steps)
    # Keras makes its variables with the first batch; a checkpoint is restored before that.
    optimizer.build(model.trainable_variables)
    shift = logit_shift(config.loss, training.labels, len(class_names))
    return _compile(
        model, optimizer, CrossEntropy(config.loss.label_smoothing, weights, shift), config.train.accumulate
    )


def compile_early(network: keras.Model, model: keras.Model, training: ImageSource, config: Config) -> keras.Model:
    """A compiled model with the weights and the optimizer of `model`, for images of train.low_resolution pixels.

    `network` is the one in `model`. What both do is one training; only the metrics of an epoch are apart.
    """
    assert config.train.low_resolution is not None
    smaller = at_size(network, config.train.low_resolution)
    early = _with_augmentation(smaller, config, training.size, config.train.low_resolution)
    return _compile(early, model.optimizer, model.loss, model.parts)


def compile_tail(model: keras.Model, features: Any, logits: Any) -> keras.Model:
    """The compiled part of `model` from the tensor `features` to `logits`, with its loss, weights and optimizer."""
    return _compile(TrainedModel(features, logits, name="on_features"), model.optimizer, model.loss, model.parts)


def _compile(
    model: "TrainedModel", optimizer: keras.optimizers.Optimizer, loss: keras.losses.Loss, parts: int
) -> keras.Model:
    model.parts = parts
    metrics = [FiniteCrossEntropy(), Accuracy(name="accuracy"), TopAccuracy(5, name="top5_accuracy")]
    model.compile(optimizer=optimizer, loss=loss, weighted_metrics=metrics)
    with keras.StatelessScope():  # several replicas of TensorFlow cannot count outside of a step
        model.compute_metrics(None, np.zeros(1, "int32"), np.zeros((1, model.output_shape[-1]), "float32"))
    return model


def measured(logs: Mapping[str, Any], part: Mapping[str, Metric]) -> dict[str, float]:
    """What Keras says of an epoch so far, by the columns of `part`, which is metrics.TRAINING or VALIDATION."""
    # Keras' own "loss" is of what is minimised, and stays NaN after a non-finite step.
    names = {column: {"loss": "cross_entropy"}.get(metric.column, metric.column) for column, metric in part.items()}
    return {column: float(logs[name]) for column, name in names.items()}


def class_weights(
    config: LossConfig, labels: npt.NDArray[np.int32], class_names: Sequence[str]
) -> npt.NDArray[np.float32] | None:
    """The weight of each class in the loss, float32 [K], or None if all count alike.

    "balanced" weighs a class with n of the N labels by N / (classes with labels * n), as scikit-learn does; a class
    without any has weight 1. Raises ConfigError for a name that is no class.
    """
    if config.class_weights is None:
        return None
    weights = np.ones(len(class_names), np.float32)
    if config.class_weights == "balanced":
        counts = np.bincount(labels, minlength=len(class_names))
        some = counts > 0
        weights[some] = len(labels) / (some.sum() * counts[some])
        return weights
    places = {name: place for place, name in enumerate(class_names)}
    for name, weight in config.weights_by_name.items():
        if name not in places:
            raise ConfigError(
                f"loss.class_weights=[{name}:{weight:g}]: there is no class {name}{nearest(name, places)}; the classes "
                f"are {', '.join(class_names[:10])}{', ...' if len(class_names) > 10 else ''}"
            )
        weights[places[name]] = weight
    return weights


def logit_shift(config: LossConfig, labels: npt.NDArray[np.int32], classes: int) -> npt.NDArray[np.float32] | None:
    """What is added to the logits of each class in the loss, float32 [K]: tau log(n_k / N); None for tau = 0.

    A class with n of the N labels is so often right that a model without it prefers the class; with it, the model's own
    logits are those for even classes (A. K. Menon et al., arXiv 2007.07314, equation 10). n is at least 1.
    """
    if not config.logit_adjustment:
        return None
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return (config.logit_adjustment * np.log(counts / len(labels))).astype(np.float32)


def _mixed(targets: Any) -> bool:
    """Whether targets are distributions and not labels. Keras makes floats of both, but keeps their rank."""
    return len(targets.shape) == 2


def _labels(targets: Any) -> Any:
    """Labels, int32 [B]: of a distribution that of the largest part."""
    return ops.cast(ops.argmax(targets, axis=-1) if _mixed(targets) else targets, "int32")


@register
class CrossEntropy(keras.losses.Loss):
    """Of each example -sum over k of w_k q_k log p_k, in nats, float [B]; a batch has the mean over its examples.

    q is the target with the fraction `smoothing` of it spread evenly over all K classes (Szegedy et al., arXiv
    1512.00567, section 7), p the softmax of the logits, float [B, K], and w the class weights, float [K]. PyTorch's
    `cross_entropy(..., weight=w, label_smoothing=smoothing)` is the same, but its mean of labels is over their weights.
    `shift`, float [K], is added to the logits first.
    """

    def __init__(
        self,
        smoothing: float = 0.0,
        weights: Sequence[float] | npt.NDArray[np.float32] | None = None,
        shift: Sequence[float] | npt.NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__(name="cross_entropy")
        self.smoothing = smoothing
        self.weights, self.shift = (None if each is None else np.asarray(each, np.float32) for each in (weights, shift))

    def get_config(self) -> dict[str, Any]:
        parts = {"weights": self.weights, "shift": self.shift}
        return {"smoothing": self.smoothing, **{n: None if v is None else v.tolist() for n, v in parts.items()}}

    def call(self, targets: Any, logits: Any) -> Any:
        if self.shift is not None:
            logits = logits + ops.cast(self.shift, logits.dtype)
        if not _mixed(targets) and not self.smoothing and self.weights is None:
            return keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        classes = logits.shape[-1]
        q = targets if _mixed(targets) else ops.one_hot(_labels(targets), classes, dtype=logits.dtype)
        q = q * (1 - self.smoothing) + self.smoothing / classes
        # Not categorical_crossentropy, whose gradient on TensorFlow is right only where the targets add up to 1.
        return -ops.sum((q if self.weights is None else q * self.weights) * ops.log_softmax(logits), axis=-1)


@register
class TrainedModel(Accumulating, InParts, keras.Model):
    """Counts each example once in its metrics, whatever its weight in the loss; and those of weight 0 not at all.

    The metrics `in_validation` are only there while `evaluate` runs: they cost a training step nothing, and no
    checkpoint has them.
    """

    evaluating = False
    in_validation: Sequence[Any] = ()

    # Keras reads a model of layers back into a class whose arguments begin as those of its own.
    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **options: Any) -> None:
        super().__init__(inputs, outputs, name=name, **options)
        self.in_validation = [BalancedAccuracy(self.output_shape[-1]), *own_metrics.build(self.output_shape[-1])]

    @property
    def metrics(self) -> list[Any]:
        """Those of the pass that runs; Keras resets, updates and returns these."""
        return [metric for metric in super().metrics if self.evaluating or metric not in self.in_validation]

    def evaluate(self, *arguments: Any, **options: Any) -> Any:
        self.evaluating = True
        try:
            return super().evaluate(*arguments, **options)
        finally:
            self.evaluating = False

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        once = None if sample_weight is None else ops.sign(sample_weight)
        for metric in self.in_validation if self.evaluating else ():
            metric.update_state(y, y_pred, once)
        return super().compute_metrics(x, y, y_pred, once)


def _with_augmentation(network: keras.Model, config: Config, source: tuple[int, int], size: int) -> TrainedModel:
    """A model of the same layers to compile, so that `network` stays free of what belongs to training.

    The augmentation is in front if it is placed on the device; `source` is (height, width) of the images, and the
    network sees `size` x `size` pixels.
    """
    if config.augment.placement == "host":
        model = TrainedModel(network.input, network.output, name="on_host")
    else:
        inputs = augmentation_inputs(config.augment, (*source, network.input_shape[-1]))
        augmented = Augment(size, name="augment")(inputs)
        model = TrainedModel(inputs, network(augmented), name="on_device")
    model.batch_parts = batch_parts(config.compute)
    return model


@register
class FiniteCrossEntropy(keras.metrics.Metric):
    """Mean cross-entropy with the targets, in nats, over the examples where it is finite; NaN if there are none.

    Examples of weight 0 are left out, all others count alike, and nothing is smoothed: so it is one and the same
    quantity in training and validation and for every loss. Keras' own mean of the loss would be NaN for an epoch with
    one non-finite step.
    """

    def __init__(self, name: str = "cross_entropy", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> None:
        of = ops.categorical_crossentropy if _mixed(targets) else ops.sparse_categorical_crossentropy
        losses = of(targets, logits, from_logits=True)
        counted = ops.isfinite(losses)
        if sample_weight is not None:
            counted = ops.logical_and(counted, sample_weight > 0)
        self.total.assign_add(ops.sum(ops.where(counted, losses, 0.0)))
        self.count.assign_add(ops.sum(ops.cast(counted, self.count.dtype)))

    def result(self) -> Any:
        return self.total / self.count


@register
class Accuracy(keras.metrics.SparseCategoricalAccuracy):
    """Keras' accuracy; of mixed targets, the larger part has to be the most probable class."""

    def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> None:
        super().update_state(_labels(targets), logits, sample_weight)


@register
class TopAccuracy(keras.metrics.SparseTopKCategoricalAccuracy):
    """Keras' top-k accuracy; of mixed targets, the larger part has to be among the k most probable classes."""

    def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> None:
        super().update_state(_labels(targets), logits, sample_weight)


class BalancedAccuracy(keras.metrics.Metric):
    """Mean over the classes, of those with examples, of the fraction of their examples that is right.

    As scikit-learn's balanced_accuracy_score. Examples of weight 0 are left out, all others count alike.
    """

    def __init__(self, classes: int, name: str = "balanced_accuracy", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.right = self.add_weight(shape=(classes,), name="right", initializer="zeros")
        self.count = self.add_weight(shape=(classes,), name="count", initializer="zeros")

    def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> None:
        labels, guesses = _labels(targets), ops.cast(ops.argmax(logits, axis=-1), "int32")
        counted = ops.one_hot(labels, self.count.shape[0], dtype=self.count.dtype)  # [B, K]
        if sample_weight is not None:
            counted *= ops.cast(sample_weight > 0, counted.dtype)[:, None]
        self.count.assign_add(ops.sum(counted, axis=0))
        self.right.assign_add(ops.sum(counted * ops.cast(guesses == labels, counted.dtype)[:, None], axis=0))

    def result(self) -> Any:
        some = ops.cast(self.count > 0, self.count.dtype)
        return ops.sum(self.right / ops.maximum(self.count, 1.0)) / ops.sum(some)
