"""The vision model without matrix multiplications of the Keras-MML tutorial, from normalised images to features.

Its layers compute what those of keras-matmulless 0.1.2 do, after "Scalable MatMul-free Language Modeling" (arXiv
2406.02528). Shape suffixes: B batch, N tokens, P values of a patch, D width of a token.
"""

from typing import Any, cast

import keras
from keras import ops

from vit_train.config.models import MatmulFreeConfig
from vit_train.models.dropout import Dropout
from vit_train.models.layers import Shape, register
from vit_train.models.recurrence import linear_recurrence
from vit_train.models.stems import Patches
from vit_train.models.ternary import RMSNorm, TernaryDense


@register
class TernaryPatchEmbedding(keras.layers.Layer):
    """Projects patches to tokens and adds learned positions: [B, N, P] -> [B, N, D]."""

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.projection = TernaryDense(width, name="projection")

    def build(self, input_shape: Shape) -> None:
        self.projection.build(input_shape)
        shape = (cast(int, input_shape[1]), self.width)
        self.positions = self.add_weight(name="positions", shape=shape, initializer="uniform")

    def call(self, patches_BNP: Any) -> Any:
        return self.projection(patches_BNP) + self.positions

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


@register
class GatedRecurrence(keras.layers.Layer):
    """Mixes each token with those before it: [B, N, D] -> [B, N, D].

    With f, c and g three projections of a token: h = sigmoid(f) * h before + (1 - sigmoid(f)) * silu(c), and the result
    is a projection of sigmoid(g) * h. Every step is element by element, so the original's heads change nothing.
    """

    def build(self, input_shape: Shape) -> None:
        width = cast(int, input_shape[-1])
        self.gates = TernaryDense(3 * width, gain_per_token=False, name="gates")
        self.projection = TernaryDense(width, gain_per_token=False, name="projection")
        self.gates.build(input_shape)
        self.projection.build(input_shape)

    def call(self, x_BND: Any) -> Any:
        f, c, g = ops.split(self.gates(x_BND), 3, axis=-1)
        f = ops.cast(ops.sigmoid(f), "float32")  # which 144 steps of bfloat16 would blur
        h_BND = linear_recurrence(f, (1 - f) * ops.silu(ops.cast(c, "float32")))
        return self.projection(ops.cast(ops.sigmoid(g), "float32") * h_BND)


@register
class MatmulFreeBlock(keras.layers.Layer):
    """Gated recurrence and SwiGLU ("GLU Variants Improve Transformer", arXiv 2002.05202), each with a residual and then
    RMSNorm: [B, N, D] -> [B, N, D]. `hidden` is the width inside SwiGLU.
    """

    def __init__(self, hidden: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden, self.dropout = hidden, dropout
        self.mixer = GatedRecurrence(name="mixer")
        self.mixer_dropout = Dropout(dropout, name="mixer_dropout")
        self.mixer_norm = RMSNorm(name="mixer_norm")
        self.gate_and_up = TernaryDense(2 * hidden, name="gate_and_up")
        self.mlp_dropout = Dropout(dropout, name="mlp_dropout")
        self.mlp_norm = RMSNorm(name="mlp_norm")

    def build(self, input_shape: Shape) -> None:
        self.down = TernaryDense(cast(int, input_shape[-1]), gain_per_token=False, name="down")
        for layer in (self.mixer, self.mixer_norm, self.gate_and_up, self.mlp_norm):
            layer.build(input_shape)
        self.down.build((*input_shape[:-1], self.hidden))

    def call(self, x_BND: Any, training: bool | None = None) -> Any:
        y = self.mixer_dropout(self.mixer(x_BND), training=training)
        x_BND = self.mixer_norm(x_BND + y)
        gate, up = ops.split(self.gate_and_up(x_BND), 2, axis=-1)
        y = self.mlp_dropout(self.down(ops.silu(gate) * up), training=training)
        return self.mlp_norm(x_BND + y)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hidden": self.hidden, "dropout": self.dropout}


def matmul_free_features(config: MatmulFreeConfig, images: keras.KerasTensor) -> keras.KerasTensor:
    """The network of the tutorial, [B, S, S, 3] -> [B, F]: 10,300,817 parameters by default for 10 classes.

    As there, the dense layers of the head have no activation, and that of the logits is an ordinary one.
    """
    layers = keras.layers
    x = Patches(config.patch_size, name="patches")(images)
    x = TernaryPatchEmbedding(config.projection_dim, name="embedding")(x)
    hidden = round(config.projection_dim * config.mlp_ratio)
    for index in range(config.depth):
        x = MatmulFreeBlock(hidden, config.dropout, name=f"block_{index}")(x)
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = Dropout(config.head_dropout, name="pooled_dropout")(layers.Flatten(name="flatten")(x))
    for index, units in enumerate(config.head_units):
        x = TernaryDense(units, name=f"head_{index}")(x)
    return x
