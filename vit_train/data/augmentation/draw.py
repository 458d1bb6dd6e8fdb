"""What is to be done with each image: a pure function of (seed, example, epoch)."""

import math
from typing import Any

import tensorflow as tf

from vit_train.config.schema import AugmentConfig
from vit_train.data.augmentation.apply import Parameters
from vit_train.data.augmentation.geometry import base_transforms, resize_transforms
from vit_train.data.augmentation.uniforms import uniforms


def draw(
    config: AugmentConfig, seed: int, examples: tf.Tensor, epoch: tf.Tensor, source: tuple[int, int], size: int
) -> Parameters:
    """The parameters with which `examples` (int64 [B]) are varied in `epoch` (int64 []).

    `source` is (height, width) of the images, `size` the side of the result. Flip, rotation and zoom are distributed as
    Keras' RandomFlip("horizontal"), RandomRotation(config.rotation) and RandomZoom(config.zoom, config.zoom), applied
    in this order.
    """
    key = tf.constant(seed << 32, tf.int64) + epoch  # the two halves of one number: no two pairs share it
    # Only where it knows the shape, TensorFlow reorders the factors below, as it always did: another last bit.
    numbers = tf.ensure_shape(uniforms(key, examples, 4), [None, 4])
    flip, rotation, zoom_x, zoom_y = tf.unstack(numbers, axis=1)
    mirror = tf.where((flip < 0) & config.flip, -1.0, 1.0)
    angle = rotation * (config.rotation * 2 * math.pi)
    base = base_transforms(mirror, angle, 1 + zoom_x * config.zoom, 1 + zoom_y * config.zoom, source, size)
    return {"transforms": base}


def unvaried(batch: Any, source: tuple[int, int], size: int) -> Parameters:
    """The parameters with which `batch` images are resized and nothing else."""
    return {"transforms": resize_transforms(batch, source, size)}
