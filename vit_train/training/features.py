"""Features of a frozen network, computed once: `train.cache_features`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vit_train.config.schema import Config
from vit_train.console import doing, say
from vit_train.data.images import ImageSource
from vit_train.data.pipeline import evaluation_batches, feature_batches, features_in_order
from vit_train.errors import ConfigError
from vit_train.training.objective import compile_tail

_MOST_BYTES = 2**33  # of features, which stay in memory


class CachedFeatures:
    """A network in two: what is not trained, and the compiled `tail` of it that learns from what that gives.

    `model` is the compiled model of the whole network, with which the tail shares weights and optimizer. Raises
    ConfigError if there is nothing in front of what is trained, or its features would take too much memory.
    """

    def __init__(self, network: keras.Model, model: Any, config: Config, images: int) -> None:
        self.config = config
        first = _first_of_tail(network)
        self.frozen = keras.Model(network.input, first.input)
        self.tail = compile_tail(model, first.input, network.output)
        size = 4 * int(np.prod(first.input.shape[1:]))
        if size * images > _MOST_BYTES:
            raise ConfigError(
                f"train.cache_features=true: the features of {images:,} images would take {size * images / 2**30:.0f} "
                f"GB in front of {first.name}; freeze more with optimizer.groups, or set it to false"
            )
        self.arrays: list[tuple[Any, Any]] = []  # (features, labels) of the training and of the validation

    def compute(self, training: ImageSource, validation: ImageSource, check: Callable[[], None]) -> None:
        """Brings all images through what is frozen, as in validation; `check` may raise between two batches."""
        doing(f"computing the features of {len(training) + len(validation):,} images")
        on_host = dataclasses.replace(self.config.augment, placement="host")
        config = dataclasses.replace(self.config, augment=on_host)
        for examples in (training, validation):
            found = []
            for images, _ in evaluation_batches(examples, config).as_numpy_iterator():
                found.append(np.asarray(self.frozen.predict_on_batch(images), "float32"))
                check()
            self.arrays.append((tf.constant(np.concatenate(found)), tf.constant(examples.labels)))
        shape = " x ".join(map(str, self.arrays[0][0].shape[1:]))
        say(f"features of {shape} numbers are computed; training sees no images")

    def training_batches(self, first: int, last: int) -> Any:
        """As `pipeline.training_batches`, with features in place of images."""
        return feature_batches(*self.arrays[0], self.config, first, last)

    def validation_batches(self) -> Any:
        """As `pipeline.evaluation_batches`, with features in place of images."""
        return features_in_order(*self.arrays[1], self.config.train.batch_size)


def _first_of_tail(network: keras.Model) -> Any:
    """The first layer that is trained, or that of the dropout right before it."""
    layers = network.layers
    place = next(index for index, layer in enumerate(layers) if layer.trainable_variables)
    while isinstance(layers[place - 1], keras.layers.Dropout):
        place -= 1
    if not any(layer.variables for layer in layers[2:place]):  # the first two are images and their normalisation
        raise ConfigError(
            f"train.cache_features=true: {layers[place].name} is trained, and nothing comes before it that could be "
            "computed once; freeze what stays with optimizer.groups, as experiment=probe does"
        )
    return layers[place]
