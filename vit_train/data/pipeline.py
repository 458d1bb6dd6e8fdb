"""tf.data: batch number -> batch. There is no iterator state: a batch is a pure function of (config, seed, step)."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vit_train.config.schema import Config
from vit_train.data.augmentation.apply import Parameters, apply
from vit_train.data.augmentation.draw import draw, unvaried
from vit_train.data.images import ImageSource
from vit_train.errors import DataError

# A batch is (inputs, labels), labels int32 [B]. With augment.placement=host, inputs are float32 [B, S, S, 3], values in
# [0, 255]; with device, {"images": uint8 [B, H, W, 3], **parameters of `augmentation.draw`}.


def steps_per_epoch(examples: int, config: Config) -> int:
    """Batches in an epoch; the last one may be short."""
    whole = math.ceil(examples / config.train.batch_size)
    return min(whole, config.train.steps_per_epoch or whole)


def training_batches(train: ImageSource, config: Config, first: int, last: int) -> tf.data.Dataset:
    """Batches number `first` to `last` - 1 of a run, in order and augmented."""
    labels, count = tf.constant(train.labels), len(train)
    steps, batch_size = steps_per_epoch(count, config), config.train.batch_size
    seed, size = config.seed, config.model.image_size

    def batch(step: tf.Tensor) -> Any:
        epoch, start = step // steps, step % steps * batch_size
        positions = tf.range(start, tf.minimum(start + batch_size, count), dtype=tf.int64)
        order = epoch if config.train.reshuffle else tf.zeros_like(epoch)
        key = tf.stack([tf.constant(seed, tf.int64), order])
        examples = tf.random.experimental.index_shuffle(positions, key, tf.constant(count - 1, tf.int64))
        parameters = draw(config.augment, seed, examples, epoch, train.size, size)
        return _inputs(_read(train, examples), parameters, config), tf.gather(labels, examples)

    return _made_ahead(tf.data.Dataset.range(first, last), batch)


def evaluation_batches(examples: ImageSource, config: Config) -> tf.data.Dataset:
    """All examples once, in their order, resized but not augmented."""

    def batch(images: tf.Tensor, labels: tf.Tensor) -> Any:
        parameters = unvaried(tf.shape(images)[0], examples.size, config.model.image_size)
        return _inputs(images, parameters, config), labels

    return _made_ahead(raw_batches(examples, config.train.batch_size), batch)


def sharded(batches: tf.data.Dataset, devices: int) -> tf.data.Dataset:
    """The batches, each filled up to a multiple of `devices` examples; with one device just as they are.

    They are (inputs, labels, weights) then, weights float32 [B]: 0 for the examples that only fill up, and for the
    others such that the mean over all of the batch is the mean over them.
    """
    if devices == 1:
        return batches

    def fill_up(inputs: Any, labels: tf.Tensor) -> Any:
        count = tf.shape(labels)[0]
        size = -(-count // devices) * devices
        place = tf.range(size)
        weights = tf.where(place < count, tf.cast(size / count, tf.float32), 0.0)
        full = tf.nest.map_structure(lambda part: tf.gather(part, tf.minimum(place, count - 1)), (inputs, labels))
        return *full, weights

    return _made_ahead(batches, fill_up)


def raw_batches(examples: ImageSource, batch_size: int) -> tf.data.Dataset:
    """All examples once, in their order: (images uint8 [B, H, W, 3], labels int32 [B])."""
    labels, count = tf.constant(examples.labels), len(examples)

    def batch(start: tf.Tensor) -> Any:
        indices = tf.range(start, tf.minimum(start + batch_size, count))
        return _read(examples, indices), tf.gather(labels, indices)

    return _made_ahead(tf.data.Dataset.range(0, count, batch_size), batch)


def _made_ahead(dataset: tf.data.Dataset, function: Callable[..., Any]) -> tf.data.Dataset:
    """`function` of each element, in their order, on all cores, while earlier ones are used."""
    options = tf.data.Options()
    # Its thread sleeps ever longer, up to a minute, and is not always woken when an epoch's data set is let go, which
    # waits for it. Without it, AUTOTUNE is the number of cores.
    options.autotune.enabled = False
    return dataset.map(function, tf.data.AUTOTUNE).prefetch(2).with_options(options)


def _inputs(images: tf.Tensor, parameters: Parameters, config: Config) -> Any:
    if config.augment.placement == "device":
        return {"images": images, **parameters}
    return apply(images, parameters, config.model.image_size)


_faults: list[DataError] = []  # met while batches were made


def _read(examples: ImageSource, indices: tf.Tensor) -> tf.Tensor:
    """uint8 [B, H, W, 3]: the images at int64 [B], when the graph runs."""

    def read(indices: np.ndarray) -> np.ndarray:
        try:
            return examples.read(indices)
        except DataError as error:
            _faults.append(error)
            raise

    # It is stateless: with deterministic operations, tf.data runs functions with state one after another.
    images = tf.numpy_function(read, [indices], tf.uint8, stateful=False)
    images.set_shape([None, *examples.size, 3])
    return images


@contextmanager
def data_errors(resumable: Path | None = None) -> Iterator[None]:
    """Raises the DataError of a batch, of the run `resumable` if any; TensorFlow raises an error of its own instead."""
    _faults.clear()
    try:
        yield
    except tf.errors.OpError:
        if not _faults:
            raise
        advice = f"; with the file as it was, resume={resumable} continues" if resumable else ""
        raise DataError(f"{_faults[0]}{advice}") from None
