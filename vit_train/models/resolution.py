"""One network for images of several sizes."""

from typing import Any

import keras


def at_size(network: keras.Model, size: int) -> keras.Model:
    """The layers of a network, and so its weights, for images of `size` x `size` pixels: [B, size, size, C].

    The network must be one for which the config of its model says `any_size`.
    """
    images = keras.Input((size, size, network.input_shape[-1]), dtype="float32", name="images")

    def same(layer: keras.Layer) -> keras.Layer:
        return layer

    smaller: Any = keras.models.clone_model(network, input_tensors=images, clone_function=same)
    return smaller
