"""A worker that makes batches and trains nothing: pipelines.py KIND [OPTIONS of turns.py].

Images are random, uint8 of 32x32. Kinds: `host` and `device` are ours, for that augment.placement; `order` is ours
without augmentation and without resizing; `layers` is a parallel map of Keras' Resizing, RandomFlip, RandomRotation
and RandomZoom over batches.
"""

import time
from typing import Any

import numpy as np

from benchmarks import turns
from vit_train.config.compose import load_config
from vit_train.machine import backend

OVERRIDES = {
    "host": [],
    "device": ["augment.placement=device"],
    "order": ["augment=none", "augment.placement=device"],
    "layers": [],
}


def main() -> None:
    options, (kind,) = turns.settings()
    config = load_config([f"train.batch_size={options.batch_size}", *OVERRIDES[kind]])
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (options.images, 32, 32, 3), np.uint8)
    labels = random.integers(0, 100, options.images, np.int32)
    batches = of_layers(images, labels, config) if kind == "layers" else ours(images, labels, config, options.steps)
    next(iter(batches))
    turns.first_step_done()
    read(batches, options.steps)
    turns.warm(options.steps * options.batch_size)
    while True:
        turns.wait()
        turns.done(read(batches, options.steps))


def read(batches: Any, steps: int) -> float:
    """Seconds for that many batches, without what comes after the last: letting an iterator go may take as long."""
    began, iterator = time.perf_counter(), iter(batches.take(steps))
    for _ in range(steps):
        next(iterator)
    return time.perf_counter() - began


def ours(images: np.ndarray, labels: np.ndarray, config: Any, steps: int) -> Any:
    """Batches as they go into training."""
    backend.configure(config.compute, config.seed)
    from vit_train.data.images import Examples
    from vit_train.data.pipeline import training_batches

    return training_batches(Examples(images, labels), config, 0, steps)


def of_layers(images: np.ndarray, labels: np.ndarray, config: Any) -> Any:
    """As Keras' guides have it: shuffle, batch, then map over batches in parallel. Nothing makes it deterministic."""
    import keras
    import tensorflow as tf

    size, augment = config.model.image_size, config.augment
    layers = keras.Sequential(
        [
            keras.layers.Resizing(size, size),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(augment.rotation),
            keras.layers.RandomZoom(augment.zoom, augment.zoom),
        ]
    )
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images)).batch(config.train.batch_size)
    augmented = batches.map(lambda x, y: (layers(x, training=True), y), tf.data.AUTOTUNE)
    return augmented.repeat().prefetch(tf.data.AUTOTUNE)


if __name__ == "__main__":
    main()
