"""From config to a compiled model and its data: all that a run is before it has a directory."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from vit_train.config.convert import show, values_of
from vit_train.config.own import ACTIVE
from vit_train.config.schema import Config
from vit_train.data import sources, split
from vit_train.data.augmentation import own as own_augmentation
from vit_train.data.images import Dataset, ImageSource
from vit_train.data.pipeline import as_read
from vit_train.machine import backend, cluster
from vit_train.models import build, initial, preprocessing
from vit_train.training.distribution import Devices
from vit_train.training.features import CachedFeatures
from vit_train.training.objective import compile_early, compile_model


@dataclass(frozen=True)
class Prepared:
    """What is to be trained on what.

    `network` takes float32 images [B, S, S, C] with values in [0, 255] and gives logits; `model` is the same with all
    that belongs to training.
    """

    devices: Devices
    dataset: Dataset
    training: ImageSource
    validation: ImageSource
    network: keras.Model
    model: keras.Model
    early: keras.Model | None  # what is trained in the epochs of train.low_resolution, if there are any
    cached: CachedFeatures | None  # what is trained in place of the model with train.cache_features
    init: dict[str, Any] | None  # what became of the weights of init=, as environment.json has it

    @property
    def sizes(self) -> dict[str, int]:
        """How many images each part has."""
        return {"train": len(self.training), "validation": len(self.validation), "test": len(self.dataset.test)}


def prepare(config: Config) -> Prepared:
    """Loads and splits the images and compiles a new model for them, in a process that `backend.configure` has set up.

    Raises ConfigError, DataError, OutOfMemory, or CheckpointError for the weights of init=.
    """
    devices = Devices(config)
    dataset = sources.load_dataset(config)
    facts = {**values_of(config), "data": dataset.fingerprint, **dict(ACTIVE.get().files)}
    cluster.require_same(f"{name}={show(value)}" for name, value in facts.items())
    training, validation = split.training_and_validation(dataset, config.dataset, config.seed)
    own_augmentation.require_works(config.augment, (*as_read(training, config).size, training.channels))
    notes = split.small_class_notes(dataset, config.dataset.validation, config.dataset.folds)
    dataset = dataclasses.replace(dataset, notes=(*dataset.notes, *notes))
    network, model, init = new_model(config, training, dataset.class_names, devices)
    early, cached = None, None
    if config.train.low_resolution is not None:
        with devices.scope():
            early = compile_early(network, model, training, config)
    if config.train.cache_features:
        with devices.scope():
            cached = CachedFeatures(network, model, config, (training, validation), dataset.fingerprint)
    return Prepared(devices, dataset, training, validation, network, model, early, cached, init)


def new_model(
    config: Config, training: ImageSource, class_names: Sequence[str], devices: Devices
) -> tuple[keras.Model, keras.Model, dict[str, Any] | None]:
    """A new network, the model that trains it on the `training` images, and what became of the weights of init=.

    The network is normalised for the images, unless those weights bring their own normalisation.
    """
    with backend.memory_errors_explained(config), devices.scope():
        channels = training.channels
        network = build.build_model(config.model, len(class_names), config.head, len(training), channels)
        preprocessing.normalize_for(network, config.model, training)
        init = initial.begin(network, config, class_names)  # before the optimizer takes copies of the weights
        return network, compile_model(network, training, config, class_names), init
