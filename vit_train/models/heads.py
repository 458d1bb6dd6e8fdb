"""From a sequence of tokens to one vector of features.

Shape suffixes: B batch, N tokens, D width of a token.
"""

from typing import Any

import keras
from keras import ops

from vit_train.models.dropout import Dropout
from vit_train.models.layers import INITIALIZERS, Shape, register


@register
class AttentionPooling(keras.layers.Layer):
    """The mean of the tokens by weights that a learned projection gives them: [B, N, D] -> [B, D].

    softmax(x w + b) over the tokens: the sequence pooling of CCT (arXiv 2104.05704, section 3.2).
    """

    def __init__(self, initializer: str = "glorot", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initializer = initializer
        start = INITIALIZERS[initializer]
        self.projection = keras.layers.Dense(1, kernel_initializer=start, dtype=self.dtype_policy, name="projection")

    def build(self, input_shape: Shape) -> None:
        self.projection.build(input_shape)

    def call(self, x_BND: Any) -> Any:
        weights_BN1 = ops.softmax(self.projection(x_BND), axis=1)
        return ops.sum(weights_BN1 * x_BND, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initializer": self.initializer}


def pool(x_BND: keras.KerasTensor, pooling: str, registers: int, initializer: str) -> keras.KerasTensor:
    """[B, N, D] -> [B, N * D] for "flatten", else [B, D]; only a class token, of which there are none besides, or the
    tokens of the image are looked at, and not the `registers` first.
    """
    if pooling == "class_token":
        return x_BND[:, 0]
    if registers:
        x_BND = x_BND[:, registers:]
    if pooling == "flatten":
        return keras.layers.Flatten(name="flatten")(x_BND)
    if pooling == "attention":
        return AttentionPooling(initializer, name="attention_pooling")(x_BND)
    return keras.layers.GlobalAveragePooling1D(name="average")(x_BND)


def hidden_layers(x: keras.KerasTensor, units: tuple[int, ...], rate: float, initializer: str) -> keras.KerasTensor:
    """The dense layers between pooling and logits: [B, F] -> [B, units[-1]], with dropout before and after each."""
    x = Dropout(rate, name="pooled_dropout")(x)
    for index, width in enumerate(units):
        start = INITIALIZERS[initializer]
        x = keras.layers.Dense(width, activation="gelu", kernel_initializer=start, name=f"head_{index}")(x)
        x = Dropout(rate, name=f"head_dropout_{index}")(x)
    return x
