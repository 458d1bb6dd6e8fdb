"""Heads that are fitted to the features of a network, and not trained: class means, and nearest neighbours.

Shape suffixes: B batch, F width of the features, K classes, N training images, V of them that vote.
"""

from typing import Any

import keras
from keras import ops

from vit_train.models.layers import Shape, register

_NO_VOTE = 1e-6  # of all votes: what a class has that none of the neighbours is of


def unit(x: Any) -> Any:
    """Each row of [..., F] divided by its length; zeros stay zeros."""
    return x / ops.maximum(ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)), 1e-12)


@register
class PrototypeLogits(keras.layers.Layer):
    """[B, F] -> [B, K]: cosines with the mean features of each class, divided by the temperature.

    `kernel`, [F, K], has them as columns of length 1.
    """

    def __init__(self, classes: int, temperature: float, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "trainable": False})
        self.classes, self.temperature = classes, temperature

    def build(self, input_shape: Shape) -> None:
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.classes), initializer="zeros")

    def call(self, x_BF: Any) -> Any:
        return ops.matmul(unit(x_BF), self.kernel) / self.temperature

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes, "temperature": self.temperature}


@register
class NeighbourLogits(keras.layers.Layer):
    """[B, F] -> [B, K]: logarithms of the fractions of votes, of the nearest training images by cosine.

    A neighbour votes for its class with the weight exp(cosine / temperature), as in DINO (arXiv 2104.14294, section
    4.1; its code has k = 20 and a temperature of 0.07). A class without any vote counts as with a
    millionth. `examples`, [N, F] of length 1, and their `labels`, int32 [N], stand in the model: 4 (F + 1) N bytes.
    """

    def __init__(self, classes: int, examples: int, neighbours: int, temperature: float, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "trainable": False})
        self.own_config: dict[str, Any] = {"classes": classes, "examples": examples, "neighbours": neighbours}
        self.own_config["temperature"] = temperature

    def build(self, input_shape: Shape) -> None:
        count = self.own_config["examples"]
        self.examples = self.add_weight(name="examples", shape=(count, input_shape[-1]), initializer="zeros")
        self.labels = self.add_weight(name="labels", shape=(count,), initializer="zeros", dtype="int32")

    def call(self, x_BF: Any, without_nearest: int = 0) -> Any:
        """The first `without_nearest` neighbours, such as a training image itself, have no vote."""
        options = self.own_config
        cosines_BN = ops.matmul(unit(x_BF), ops.transpose(self.examples))
        cosines_BV, places_BV = ops.top_k(cosines_BN, options["neighbours"] + without_nearest)
        cosines_BV, places_BV = cosines_BV[:, without_nearest:], places_BV[:, without_nearest:]
        weights_BV = ops.softmax(cosines_BV / options["temperature"])
        of_class_BVK = ops.one_hot(ops.take(self.labels, places_BV, axis=0), options["classes"], dtype="float32")
        votes_BK = ops.sum(weights_BV[..., None] * of_class_BVK, axis=1)
        return ops.log(ops.maximum(votes_BK, _NO_VOTE))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.own_config}
