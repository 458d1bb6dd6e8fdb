"""tf.data: batch number -> batch. There is no iterator state: a batch is a pure function of (config, seed, step)."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from vit_train.config import Config
from vit_train.data.augment import draw_transforms, resize_transforms, warp
from vit_train.data.images import Examples

# A batch is (inputs, labels), labels int32 [B]. With augment.placement=host, inputs are float32 [B, S, S, 3], values in
# [0, 255]; with device, {"images": uint8 [B, H, W, 3], "transforms": float32 [B, 8]}.


def steps_per_epoch(examples: int, config: Config) -> int:
    """Batches in an epoch; the last one may be short."""
    whole = math.ceil(examples / config.train.batch_size)
    return min(whole, config.train.steps_per_epoch or whole)


def training_batches(train: Examples, config: Config, first: int, last: int) -> tf.data.Dataset:
    """Batches number `first` to `last` - 1 of a run, in order and augmented."""
    images, labels = tf.constant(train.images), tf.constant(train.labels)
    steps, batch_size, count = steps_per_epoch(len(train), config), config.train.batch_size, len(train)
    seed, size = config.seed, config.model.image_size
    source = (train.images.shape[1], train.images.shape[2])

    def batch(step: tf.Tensor) -> Any:
        epoch, start = step // steps, step % steps * batch_size
        positions = tf.range(start, tf.minimum(start + batch_size, count), dtype=tf.int64)
        order = epoch if config.train.reshuffle else tf.zeros_like(epoch)
        key = tf.stack([tf.constant(seed, tf.int64), order])
        examples = tf.random.experimental.index_shuffle(positions, key, tf.constant(count - 1, tf.int64))
        transforms = draw_transforms(config.augment, seed, examples, epoch, source, size)
        return _inputs(tf.gather(images, examples), transforms, config), tf.gather(labels, examples)

    return tf.data.Dataset.range(first, last).map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(examples: Examples, config: Config) -> tf.data.Dataset:
    """All examples once, in their order, resized but not augmented."""

    def batch(images: tf.Tensor, labels: tf.Tensor) -> Any:
        source = (images.shape[1], images.shape[2])
        return _inputs(images, resize_transforms(tf.shape(images)[0], source, config.model.image_size), config), labels

    dataset = tf.data.Dataset.from_tensor_slices((examples.images, examples.labels)).batch(config.train.batch_size)
    return dataset.map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def raw_batches(examples: Examples, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All examples once, in their order, as they are stored: (uint8 [B, H, W, 3], int32 [B])."""
    for start in range(0, len(examples), batch_size):
        batch = examples.take(np.arange(start, min(start + batch_size, len(examples))))
        yield batch.images, batch.labels


def _inputs(images: tf.Tensor, transforms: tf.Tensor, config: Config) -> Any:
    if config.augment.placement == "device":
        return {"images": images, "transforms": transforms}
    return warp(images, transforms, config.model.image_size)


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel of uint8 images [N, H, W, C], float64 [C], exact, without a float copy."""
    counts = np.stack([np.bincount(images[..., c].ravel(), minlength=256) for c in range(images.shape[-1])])
    values, total = np.arange(256.0), images[..., 0].size
    mean = counts @ values / total
    return mean, counts @ values**2 / total - mean**2
