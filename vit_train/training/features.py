"""Features of a frozen network, computed once: `train.cache_features`."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vit_train.config.dataset import Fitting
from vit_train.config.own import ACTIVE
from vit_train.config.schema import Config
from vit_train.console import doing, say
from vit_train.data import feature_cache
from vit_train.data.images import Examples, ImageSource
from vit_train.data.pipeline import evaluation_batches, feature_batches, features_in_order
from vit_train.errors import ConfigError
from vit_train.training.objective import compile_tail

_MOST_BYTES = 2**33  # of features, which stay in memory
# Keys of a model that are about its head, about training, or about weights that are there by now.
_NO_PART_IN_FEATURES = (
    "head_units", "head_dropout", "dropout", "drop_path", "drop_path_mode", "initializer", "attention_initializer"
)  # fmt: skip
_BATCH = 64  # images at once, whatever a step takes: a product's rounding depends on it


class CachedFeatures:
    """A network in two: what is not trained, and the compiled `tail` of it that learns from what that gives.

    `model` is the compiled model of the whole network, with which the tail shares weights and optimizer. Raises
    ConfigError if there is nothing in front of what is trained, or its features would take too much memory.
    `sources` are the training and the validation images, `fingerprint` is that of their data set.
    """

    def __init__(
        self,
        network: keras.Model,
        model: Any,
        config: Config,
        sources: tuple[ImageSource, ImageSource],
        fingerprint: str | None,
    ) -> None:
        self.config, self.sources, self.fingerprint = config, sources, fingerprint
        images = sum(map(len, sources))
        first = _first_of_tail(network, fitted=bool(config.head.fits))
        self.frozen = keras.Model(network.input, first.input)
        self.tail = compile_tail(model, first.input, network.output)
        size = 4 * int(np.prod(first.input.shape[1:]))
        if size * images > _MOST_BYTES:
            raise ConfigError(
                f"train.cache_features=true: the features of {images:,} images would take {size * images / 2**30:.0f} "
                f"GB in front of {first.name}; freeze more with optimizer.groups, or set it to false"
            )
        self.arrays: list[tuple[Any, Any]] = []  # (features, labels) of the training and of the validation

    def compute(self, check: Callable[[], None]) -> None:
        """Brings all images through what is frozen, as in validation, unless an earlier run has kept what comes out.

        `check` may raise between two batches.
        """
        key = self._key()
        features = feature_cache.read(key)
        known = features is not None
        if features is None:
            doing(f"computing the features of {sum(map(len, self.sources)):,} images")
            features = [self._features(examples, check) for examples in self.sources]
            feature_cache.write(key, features)
        for examples, array in zip(self.sources, features, strict=True):
            self.arrays.append((tf.constant(array), tf.constant(examples.labels)))
        shape = " x ".join(map(str, features[0].shape[1:]))
        source = "those of an earlier run" if known else "computed"
        say(f"features of {shape} numbers are {source}; training sees no images")

    def _features(self, examples: ImageSource, check: Callable[[], None]) -> np.ndarray:
        """float32 [N, ...]."""
        config = dataclasses.replace(
            self.config,
            augment=dataclasses.replace(self.config.augment, placement="host"),
            train=dataclasses.replace(self.config.train, batch_size=_BATCH),
        )
        found = []
        for images, _ in evaluation_batches(examples, config).as_numpy_iterator():
            found.append(np.asarray(self.frozen.predict_on_batch(images), "float32"))
            check()
        return np.concatenate(found)

    def _key(self) -> str:
        """What the features are a function of, as a digest: weights, images, their split and size, what computes."""
        digest = hashlib.sha256()
        for variable in self.frozen.variables:
            digest.update(variable.path.encode() + np.asarray(keras.ops.convert_to_numpy(variable)).tobytes())
        for source in self.sources:
            if isinstance(source, Examples):
                digest.update(np.ascontiguousarray(source.images).data)
        data, compute, model = self.config.dataset, self.config.compute, dataclasses.asdict(self.config.model)
        # What was not there once is only in a key where it has an effect, so that others are as they ever were.
        more = [
            *(digest for _, digest in ACTIVE.get().files),
            *([data.fitting.fit] if data.fitting.fit != "crop" else []),
        ]
        more += [f"{data.fitting}"] if data.fitting != Fitting(data.fitting.fit) else []
        more += [f"imbalance={data.imbalance}"] if data.imbalance != 1 else []
        more += [f"fold={data.fold}/{data.folds}"] if data.folds is not None else []
        options = [
            {name: value for name, value in model.items() if name not in _NO_PART_IN_FEATURES},
            [data.name, data.fraction, data.train_fraction, data.validation, self.config.seed, self.fingerprint, *more],
            [compute.backend, compute.kernels, keras.config.dtype_policy().name, keras.__version__],
        ]
        digest.update(json.dumps(options).encode())
        return digest.hexdigest()

    def training_batches(self, first: int, last: int) -> Any:
        """As `pipeline.training_batches`, with features in place of images."""
        return feature_batches(*self.arrays[0], self.config, first, last)

    def validation_batches(self) -> Any:
        """As `pipeline.evaluation_batches`, with features in place of images."""
        return features_in_order(*self.arrays[1], self.config.train.batch_size)


def _first_of_tail(network: keras.Model, fitted: bool) -> Any:
    """The first layer that is trained, or the last if it is fitted; or that of the dropout right before it."""
    layers = network.layers
    trained = (index for index, layer in enumerate(layers) if layer.trainable_variables)
    place = len(layers) - 1 if fitted else next(trained)
    while isinstance(layers[place - 1], keras.layers.Dropout):
        place -= 1
    if not any(layer.variables for layer in layers[2:place]):  # the first two are images and their normalisation
        raise ConfigError(
            f"train.cache_features=true: {layers[place].name} is trained, and nothing comes before it that could be "
            "computed once; freeze what stays with optimizer.groups, as experiment=probe does"
        )
    return layers[place]
