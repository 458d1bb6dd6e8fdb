"""What a user of Keras would write for the recipe `fast`: its network of Keras' layers, with Keras' Muon and averages.

Images are mirrored, and shifted alike in a batch, which costs next to nothing. fast_keras.py [OPTIONS of turns.py]
[SHAPE], a shape of shapes.py.
"""

import os
import time

from benchmarks import turns
from benchmarks.shapes import CLASSES, shape_of

options, rest = turns.settings()
os.environ["KERAS_BACKEND"] = options.backend

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers, ops  # noqa: E402

SHAPE = shape_of(rest)


class Positions(layers.Layer):
    """Adds a learned table to tokens [B, N, D]."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer="random_normal")

    def call(self, x):
        return x + self.table


def block(x):
    """Pre-norm attention and MLP, with a depthwise convolution over the tokens between its two layers."""
    _, tokens, width = x.shape
    side = round(tokens**0.5)
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = x + layers.MultiHeadAttention(SHAPE.heads, width // SHAPE.heads)(y, y)
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    y = ops.gelu(layers.Dense(2 * width)(y), approximate=True)
    grid = layers.Reshape((side, side, 2 * width))(y)
    y = y + layers.Reshape((tokens, 2 * width))(layers.DepthwiseConv2D(3, padding="same")(grid))
    return x + layers.Dense(width)(y)


def build():
    """The network, for float images in [0, 255]."""
    inputs = keras.Input((options.image_size, options.image_size, 3))
    x = layers.Rescaling(1 / 64, -2)(inputs)
    x = layers.Conv2D(SHAPE.stem, 3, 2, "same", use_bias=False, name="stem_0")(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Conv2D(SHAPE.width, 3, 2, "same", name="stem_1")(x)
    x = Positions()(layers.Reshape((-1, SHAPE.width))(x))
    for _ in range(SHAPE.depth):
        x = block(x)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(inputs, layers.Dense(CLASSES, dtype="float32", name="logits")(x))


def batches(images, labels):
    """An epoch, made in parallel by tf.data."""

    def augment(images, labels):
        shift = tf.random.uniform((2,), 0, 9, tf.int32)
        padded = tf.pad(tf.image.random_flip_left_right(images), ((0, 0), (4, 4), (4, 4), (0, 0)))
        cut = tf.slice(padded, [0, shift[0], shift[1], 0], [-1, 32, 32, 3])
        return tf.image.resize(cut, (options.image_size,) * 2, antialias=True), labels

    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images)).batch(options.batch_size)
    return data.map(augment, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


class TurnTaker(keras.callbacks.Callback):
    """Makes each epoch a turn, of one `fit`: behind it, on JAX, Keras' averages cannot go on."""

    stepped = False

    def on_epoch_begin(self, epoch, logs=None):
        if epoch > 1:
            turns.wait()
        self.began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if not self.stepped:
            self.stepped = True
            turns.first_step_done()

    def on_epoch_end(self, epoch, logs=None):
        if epoch > 1:
            turns.done(time.perf_counter() - self.began)
        elif epoch == 1:
            turns.warm(options.images, parameters=f"{self.model.count_params():,}")


def main():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (options.images, 32, 32, 3), np.uint8)
    labels = random.integers(0, CLASSES, len(images))
    if options.precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    model = build()
    muon = keras.optimizers.Muon(
        8e-3, adam_lr_ratio=0.25, adam_beta_2=0.98, weight_decay=0.05, adam_weight_decay=0.05,
        exclude_layers=["stem", "logits"], use_ema=True, ema_momentum=0.998,
    )  # fmt: skip
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(muon, loss, metrics=["accuracy"])
    targets = np.eye(CLASSES, dtype="float32")[labels]

    model.fit(batches(images, targets), epochs=1000, verbose=0, callbacks=[TurnTaker()])


if __name__ == "__main__":
    main()
