"""dataset.sampling=balanced: epochs with as many training images of each class. There is no state to keep."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vit_train.config.schema import Config


def images_per_epoch(labels: npt.NDArray[np.int32], config: Config) -> int:
    """How many of the N training images an epoch shows: all, or the largest multiple of the K classes up to N."""
    if config.dataset.sampling == "uniform":
        return len(labels)
    classes = int(labels.max()) + 1
    return len(labels) // classes * classes


def balanced(
    places: tf.Tensor, epoch: tf.Tensor, labels: npt.NDArray[np.int32], seed: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """(the training images at int64 [B] places of an epoch, how often each was drawn before), int64 [B] each.

    Place p is for class p modulo K. The draws of a class, over all epochs, go through its images in one random order
    after another: none is drawn again before all others were, and all images of a large class have their turn.
    """
    counts = np.bincount(labels)
    members, starts = tf.constant(np.argsort(labels, kind="stable")), tf.constant(np.cumsum(counts) - counts)
    label = places % len(counts)
    draw = epoch * (len(labels) // len(counts)) + places // len(counts)
    count = tf.gather(tf.constant(counts), label)
    passed = draw // count
    key = tf.stack([tf.fill(tf.shape(label), tf.constant(seed, tf.int64)), label, passed], axis=1)
    # tf.random.experimental.index_shuffle takes one key for all: of several it pads the wrong axis.
    place = tf.raw_ops.RandomIndexShuffle(index=draw % count, seed=key, max_index=count - 1, rounds=4)
    return tf.gather(members, tf.gather(starts, label) + place), passed
