"""The parts of a Vision Transformer, one concept per class.

Shape suffixes: B batch, H and W image rows and columns, C channels, N tokens, D width of a token.
"""

import math
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from vit_train.models.dropout import GeluDropout
from vit_train.models.layer_norm import LayerNorm
from vit_train.models.self_attention import SelfAttention

Shape = tuple[int | None, ...]
register = keras.saving.register_keras_serializable(package="vit_train")


@register
class GlorotUniform2021(keras.initializers.Initializer):
    """Glorot uniform with the fans that Keras 2 gave to a kernel of three dimensions.

    Keras 2 read an attention kernel (a, b, c) as a convolution: fan_in = a * b and fan_out = a * c. Keras 3 passes the
    true input and output axes, so its query, key and value kernels start 3.7 times larger at (64, 4, 64).
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None, **kwargs: Any) -> Any:
        receptive_field = math.prod(shape[:-2])
        limit = math.sqrt(6 / (receptive_field * (shape[-2] + shape[-1])))
        return keras.initializers.RandomUniform(-limit, limit, seed=self.seed)(shape, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


ATTENTION_INITIALIZERS = {"glorot_2021": GlorotUniform2021, "glorot": keras.initializers.GlorotUniform}


@register
class Patches(keras.layers.Layer):
    """Cuts images into square patches: [B, H, W, C] -> [B, N, patch_size * patch_size * C].

    Tokens go row by row over the image; inside a token the order is row, column, channel, as in
    `tf.image.extract_patches`.
    """

    def __init__(self, patch_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def call(self, x_BHWC: Any) -> Any:
        p = self.patch_size
        _, height, width, channels = x_BHWC.shape
        rows, columns = height // p, width // p
        x = ops.reshape(x_BHWC, (-1, rows, p, columns, p, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, rows * columns, p * p * channels))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "patch_size": self.patch_size}


def sincos_positions(tokens: int, width: int) -> np.ndarray:
    """Fixed two-dimensional sine-cosine positions, float32 [tokens, width], values in [-1, 1].

    `tokens` is a square number and `width` a multiple of 4. A quarter each of the width holds sin(column), cos(column),
    sin(row), cos(row) at wave lengths from 2 pi to 10,000 * 2 pi (MoCo v3, arXiv 2104.02057; "Better plain ViT
    baselines", arXiv 2205.01580).
    """
    side = math.isqrt(tokens)
    row, column = np.divmod(np.arange(tokens), side)
    frequency = 10_000.0 ** -np.linspace(0, 1, width // 4)
    angles = [np.outer(position, frequency) for position in (column, row)]
    return np.concatenate([f(a) for a in angles for f in (np.sin, np.cos)], axis=1).astype("float32")


@register
class PatchEmbedding(keras.layers.Layer):
    """Projects patches to tokens and adds their positions: [B, N, P] -> [B, N, D], or [B, N + 1, D] with a class token.

    `position_embedding` is "learned" (a trainable table), "sincos" (fixed) or "none". The class token, if any, is the
    first of the sequence; it has a learned position of its own, but no fixed one.
    """

    def __init__(
        self, width: int, position_embedding: str = "learned", class_token: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.position_embedding = position_embedding
        self.class_token = class_token
        self.projection = keras.layers.Dense(width, dtype=self.dtype_policy, name="projection")

    def build(self, input_shape: Shape) -> None:
        tokens = cast(int, input_shape[1])
        self.projection.build(input_shape)
        if self.class_token:
            self.token = self.add_weight(name="class_token", shape=(1, 1, self.width), initializer="zeros")
        if self.position_embedding == "learned":
            shape = (tokens + self.class_token, self.width)
            # keras.layers.Embedding's default, which the keras.io example uses: uniform +-0.05.
            self.positions = self.add_weight(name="positions", shape=shape, initializer="uniform")
        elif self.position_embedding == "sincos":
            table = sincos_positions(tokens, self.width)
            self.positions = np.pad(table, ((int(self.class_token), 0), (0, 0)))

    def call(self, patches_BNP: Any) -> Any:
        x_BND = self.projection(patches_BNP)
        if self.class_token:
            token = ops.broadcast_to(ops.cast(self.token, x_BND.dtype), (ops.shape(x_BND)[0], 1, self.width))
            x_BND = ops.concatenate([token, x_BND], axis=1)
        if self.position_embedding == "none":
            return x_BND
        return x_BND + ops.cast(self.positions, x_BND.dtype)

    def get_config(self) -> dict[str, Any]:
        own = {
            "width": self.width,
            "position_embedding": self.position_embedding,
            "class_token": self.class_token,
        }
        return {**super().get_config(), **own}


@register
class TransformerBlock(keras.layers.Layer):
    """Pre-norm attention and MLP, each with a residual: [B, N, D] -> [B, N, D].

    As in the keras.io example, and unlike ViT, GELU (the exact, erf form) and dropout follow both dense layers.
    """

    def __init__(
        self,
        heads: int,
        key_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_initializer: str = "glorot",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.own_config = {
            "heads": heads,
            "key_dim": key_dim,
            "mlp_dim": mlp_dim,
            "dropout": dropout,
            "attention_initializer": attention_initializer,
        }
        layers = keras.layers
        # A saved model has the precision it was trained in, and may be loaded where another one is the default.
        policy = {"dtype": self.dtype_policy}
        self.attention_norm = LayerNorm(epsilon=1e-6, name="attention_norm", **policy)
        initializer = ATTENTION_INITIALIZERS[attention_initializer]()
        self.attention = SelfAttention(
            heads, key_dim, dropout=dropout, kernel_initializer=initializer, name="attention", **policy
        )
        self.mlp_norm = LayerNorm(epsilon=1e-6, name="mlp_norm", **policy)
        self.mlp_hidden = layers.Dense(mlp_dim, name="mlp_hidden", **policy)
        self.hidden_gelu = GeluDropout(dropout, name="hidden_gelu", **policy)
        self.output_gelu = GeluDropout(dropout, name="output_gelu", **policy)

    def build(self, input_shape: Shape) -> None:
        width = cast(int, input_shape[-1])
        self.mlp_output = keras.layers.Dense(width, dtype=self.dtype_policy, name="mlp_output")
        self.attention_norm.build(input_shape)
        self.attention.build(input_shape)
        self.mlp_norm.build(input_shape)
        self.mlp_hidden.build(input_shape)
        self.mlp_output.build((*input_shape[:-1], self.own_config["mlp_dim"]))

    def call(self, x_BND: Any, training: bool | None = None) -> Any:
        x_BND = x_BND + self.attention(self.attention_norm(x_BND, training=training), training=training)
        y = self.mlp_hidden(self.mlp_norm(x_BND, training=training))
        y = self.mlp_output(self.hidden_gelu(y, training=training))
        return x_BND + self.output_gelu(y, training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.own_config}
