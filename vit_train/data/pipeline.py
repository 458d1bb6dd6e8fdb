"""tf.data: batch number -> batch. There is no iterator state: a batch is a pure function of (config, seed, step)."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vit_train.config.schema import Config
from vit_train.data.augmentation.apply import Parameters, apply
from vit_train.data.augmentation.draw import draw, resolve, unvaried
from vit_train.data.augmentation.mixing import draw_mix, mix_targets
from vit_train.data.augmentation.own import vary
from vit_train.data.image_files import ImageFiles
from vit_train.data.images import ImageSource
from vit_train.data.packed import PackedImages
from vit_train.data.parts import WHOLE, Part
from vit_train.data.sampling import balanced, images_per_epoch
from vit_train.errors import DataError
from vit_train.text import to_resume

# A batch is (inputs, targets), targets int32 [B], or float32 [B, K] in training if images are mixed; a Part of several
# adds weights. With augment.placement=host, inputs are float32 [B, S, S, C], values in [0, 255]; with device,
# {"images": uint8 [B, H, W, 3], **parameters}, see `augmentation.apply`.


def steps_per_epoch(examples: int, config: Config) -> int:
    """Batches in an epoch; the last one may be short."""
    whole = math.ceil(examples / config.train.batch_size)
    return min(whole, config.train.steps_per_epoch or whole)


def training_batches(
    train: ImageSource, config: Config, first: int, last: int, size: int | None = None, part: Part = WHOLE
) -> tf.data.Dataset:
    """Batches number `first` to `last` - 1 of a run, in order and augmented; of `size` pixels or model.image_size.

    Of each only what is of this `part`.
    """
    train, labels = as_read(train, config), tf.constant(train.labels)
    steps = steps_per_epoch(images_per_epoch(train.labels, config), config)
    seed, size, augment = config.seed, size or config.model.image_size, config.augment
    classes = int(train.labels.max()) + 1  # a split leaves no class without an image to learn from

    def batch(step: tf.Tensor) -> Any:
        epoch = step // steps
        examples, draw_number = _examples(step, train.labels, config)
        count = tf.size(examples)
        if not augment.mixes:  # else an image may need one of another part
            examples, draw_number = part.take((examples, draw_number), count)
        images, targets = _read(train, examples), tf.gather(labels, examples)
        images = vary(augment, seed, images, examples, draw_number)
        parameters = resolve(images, draw(augment, seed, examples, draw_number, train.size, size))
        if augment.mixes:
            wanted = epoch < config.train.epochs - augment.mix_off_epochs
            parameters = {**parameters, **draw_mix(augment, seed, step, wanted, tf.size(examples), size)}
            targets = mix_targets(targets, classes, parameters, size)
        made = _inputs(images, parameters, config, size), targets
        return part.weighted(part.take(made, count) if augment.mixes else made, count)

    return _made_ahead(tf.data.Dataset.range(first, last), batch)


def as_read(train: ImageSource, config: Config) -> ImageSource:
    """Training pictures as augment.source_size has them read; images in memory are as they are."""
    size = config.augment.source_size
    if size is None or not isinstance(train, ImageFiles | PackedImages):
        return train
    return replace(train, size=(size, size))


def feature_batches(features: tf.Tensor, labels: tf.Tensor, config: Config, first: int, last: int) -> tf.data.Dataset:
    """As `training_batches` of images that are not varied, with their features, float32 [N, ...], in their place."""

    def batch(step: tf.Tensor) -> Any:
        examples, _ = _examples(step, labels.numpy(), config)
        return tf.gather(features, examples), tf.gather(labels, examples)

    return _made_ahead(tf.data.Dataset.range(first, last), batch)


def features_in_order(features: tf.Tensor, labels: tf.Tensor, batch_size: int) -> tf.data.Dataset:
    """All examples once, in their order: (features, labels int32 [B])."""

    def batch(start: tf.Tensor) -> Any:
        return features[start : start + batch_size], labels[start : start + batch_size]

    return _made_ahead(tf.data.Dataset.range(0, len(labels), batch_size), batch)


def _examples(step: tf.Tensor, labels: np.ndarray, config: Config) -> tuple[tf.Tensor, tf.Tensor]:
    """The examples of a step of the run, int64 [B], and for each the number of its draw, int64 [B] or []."""
    count = images_per_epoch(labels, config)
    steps, batch_size = steps_per_epoch(count, config), config.train.batch_size
    epoch, start = step // steps, step % steps * batch_size
    positions = tf.range(start, tf.minimum(start + batch_size, count), dtype=tf.int64)
    examples, number = _order(positions, epoch, count, config)
    if config.dataset.sampling == "balanced":
        return balanced(examples, epoch, labels, config.seed)
    return examples, number


def _order(positions: tf.Tensor, epoch: tf.Tensor, count: int, config: Config) -> tuple[tf.Tensor, tf.Tensor]:
    """The examples at int64 [B] places of an epoch, and for each the number of its draw, int64 [B] or [].

    With repeats, the images of one order are gone through in so many epochs, each image several times in a row.
    """
    repeats = config.augment.repeats
    order, number = epoch, epoch
    if repeats > 1:
        order, number = epoch // repeats, epoch * repeats + positions % repeats
        positions = (positions // repeats + epoch % repeats * -(-count // repeats)) % count
    key = tf.stack([tf.constant(config.seed, tf.int64), order if config.train.reshuffle else tf.zeros_like(order)])
    return tf.random.experimental.index_shuffle(positions, key, tf.constant(count - 1, tf.int64)), number


def evaluation_batches(examples: ImageSource, config: Config, part: Part = WHOLE) -> tf.data.Dataset:
    """All examples once, in their order, resized but not augmented; of each batch only what is of this `part`."""

    def batch(images: tf.Tensor, labels: tf.Tensor, *weights: tf.Tensor) -> Any:
        shape = (*examples.size, examples.channels)
        parameters = unvaried(config.augment, tf.shape(images)[0], shape, config.model.image_size)
        return _inputs(images, parameters, config, config.model.image_size), labels, *weights

    return _made_ahead(raw_batches(examples, config.train.batch_size, part), batch)


def raw_batches(examples: ImageSource, batch_size: int, part: Part = WHOLE) -> tf.data.Dataset:
    """All examples once, in their order: (images uint8 [B, H, W, C], labels int32 [B]); the rows of this `part`."""
    labels, count = tf.constant(examples.labels), len(examples)

    def batch(start: tf.Tensor) -> Any:
        whole = tf.range(start, tf.minimum(start + batch_size, count))
        indices = part.take(whole, tf.size(whole))
        return part.weighted((_read(examples, indices), tf.gather(labels, indices)), tf.size(whole))

    return _made_ahead(tf.data.Dataset.range(0, count, batch_size), batch)


def _made_ahead(dataset: tf.data.Dataset, function: Callable[..., Any]) -> tf.data.Dataset:
    """`function` of each element, in their order, on all cores, while earlier ones are used."""
    options = tf.data.Options()
    # Its thread sleeps ever longer, up to a minute, and is not always woken when an epoch's data set is let go, which
    # waits for it. Without it, AUTOTUNE is the number of cores.
    options.autotune.enabled = False
    # Nothing here branches on a tensor in Python, and AutoGraph would take seconds to find that out.
    function = tf.autograph.experimental.do_not_convert(function)
    return dataset.map(function, tf.data.AUTOTUNE).prefetch(2).with_options(options)


def _inputs(images: tf.Tensor, parameters: Parameters, config: Config, size: int) -> Any:
    if config.augment.placement == "device":
        return {"images": images, **parameters}
    return apply(images, parameters, size)


_faults: list[DataError] = []  # met while batches were made


def _read(examples: ImageSource, indices: tf.Tensor) -> tf.Tensor:
    """uint8 [B, H, W, C]: the images at int64 [B], when the graph runs."""

    def read(indices: np.ndarray) -> np.ndarray:
        try:
            return examples.read(indices)
        except DataError as error:
            _faults.append(error)
            raise

    # It is stateless: with deterministic operations, tf.data runs functions with state one after another.
    images = tf.numpy_function(read, [indices], tf.uint8, stateful=False)
    images.set_shape([None, *examples.size, examples.channels])
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
        advice = f"; with the file as it was, {to_resume(resumable)} continues" if resumable else ""
        raise DataError(f"{_faults[0]}{advice}") from None
