"""What belongs to a network besides its weights: the statistics it normalises with, and the way in for raw images."""

from typing import Any

import keras
import numpy as np


def set_statistics(network: keras.Model, mean: np.ndarray, variance: np.ndarray) -> None:
    """Gives the network's Normalization layer the mean and variance of each channel, [C], on the scale [0, 255]."""
    layer = network.get_layer("normalization")
    layer.adapt_mean.assign(mean)
    layer.adapt_variance.assign(variance)
    layer.finalize_state()


def with_preprocessing(network: keras.Model, source: tuple[int, int]) -> keras.Model:
    """The network for raw images: uint8 [B, height, width, 3] of the data set's own size -> float32 logits [B, K].

    `source` is (height, width). Weights are shared with `network`.
    """
    images = keras.Input((*source, 3), dtype="uint8", name="images")
    size = network.input_shape[1]
    # Keras' Resizing gives back the type it is given, so uint8 images would be rounded.
    x: Any = keras.layers.Rescaling(1.0, dtype="float32", name="to_float")(images)
    x = keras.layers.Resizing(size, size, dtype="float32", name="resize")(x)
    return keras.Model(images, network(x), name=network.name)


def network_of(model: keras.Model) -> keras.Model:
    """The network inside a model that `with_preprocessing` made."""
    return model.layers[-1]


def prepared(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Raw images [B, H, W, 3] as the network of such a model sees them: float32 [B, S, S, 3], values in [0, 255]."""
    x = images
    for layer in model.layers[1:-1]:
        x = layer(x)
    return np.asarray(keras.ops.convert_to_numpy(x))
