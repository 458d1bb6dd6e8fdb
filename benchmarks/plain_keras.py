"""What a user of Keras would write: the keras.io example "Image classification with Vision Transformer" (K. Salama).

Arrays go into `fit`; resizing and augmentation are layers of the model; attention, optimizer and metrics are those of
Keras 3. plain_keras.py [OPTIONS of turns.py]
"""

import os
import time

from benchmarks import turns

options, _ = turns.settings()
os.environ["KERAS_BACKEND"] = options.backend

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers, ops  # noqa: E402

CLASSES, IMAGE, PATCH, WIDTH, HEADS = 100, 72, 6, 64, 4
TOKENS = (IMAGE // PATCH) ** 2


class Patches(layers.Layer):
    """[B, IMAGE, IMAGE, 3] -> [B, TOKENS, PATCH * PATCH * 3]."""

    def call(self, images):
        return ops.reshape(ops.image.extract_patches(images, PATCH), (-1, TOKENS, PATCH * PATCH * 3))


class PatchEncoder(layers.Layer):
    """Projection plus learned positions: [B, TOKENS, P] -> [B, TOKENS, WIDTH]."""

    def __init__(self):
        super().__init__()
        self.projection = layers.Dense(WIDTH)
        self.positions = layers.Embedding(TOKENS, WIDTH)

    def call(self, patches):
        return self.projection(patches) + self.positions(ops.arange(TOKENS))


def mlp(x, units, rate):
    """Dense and dropout layers in turn."""
    for width in units:
        x = layers.Dropout(rate)(layers.Dense(width, activation="gelu")(x))
    return x


def build(images):
    """The network, for raw uint8 images."""
    normalization = layers.Normalization()
    normalization.adapt(images)
    augmentation = [
        normalization,
        layers.Resizing(IMAGE, IMAGE),
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.02),
        layers.RandomZoom(0.2, 0.2),
    ]
    inputs = keras.Input((32, 32, 3))
    x = PatchEncoder()(Patches()(keras.Sequential(augmentation)(inputs)))
    for _ in range(options.depth):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = x + layers.MultiHeadAttention(HEADS, key_dim=WIDTH, dropout=0.1)(y, y)
        x = x + mlp(layers.LayerNormalization(epsilon=1e-6)(x), (2 * WIDTH, WIDTH), 0.1)
    x = layers.Flatten()(layers.LayerNormalization(epsilon=1e-6)(x))
    x = mlp(layers.Dropout(0.5)(x), (2048, 1024), 0.5)
    return keras.Model(inputs, layers.Dense(CLASSES, dtype="float32")(x))


class Watch(keras.callbacks.Callback):
    """Passes on the seconds of an epoch or evaluation at its end: then, letting the data go may be seconds of sleep."""

    def __init__(self, done):
        super().__init__()
        self.done = done

    def on_epoch_begin(self, epoch=0, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch=0, logs=None):
        self.done(time.perf_counter() - self.began)

    def on_test_begin(self, logs=None):
        self.on_epoch_begin()

    def on_test_end(self, logs=None):
        self.on_epoch_end()


def compiled_model(images):
    """The network with optimizer, loss and metrics."""
    if options.precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    model = build(images)
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-3, weight_decay=1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(5)],
    )
    return model


def main():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (options.images, 32, 32, 3), np.uint8)
    labels = random.integers(0, CLASSES, (len(images), 1))
    model = compiled_model(images)

    def fit(count, done):
        watch = Watch(done)  # says it at once, so that nobody waits for the sleep
        model.fit(images[:count], labels[:count], options.batch_size, epochs=1, verbose=0, callbacks=[watch])

    fit(options.batch_size, lambda seconds: turns.first_step_done())
    fit(len(images), lambda seconds: None)
    turns.warm(len(images), parameters=f"{model.count_params():,}")
    while True:
        turns.wait()
        fit(len(images), turns.done)


if __name__ == "__main__":
    main()
