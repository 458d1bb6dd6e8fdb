"""The blocks of a Vision Transformer.

Shape suffixes: B batch, N tokens, S rows and columns of the tokens' grid, D width of a token, M of the MLP.
"""

import math
from typing import Any, cast

import keras
from keras import ops

from vit_train.machine import kernels
from vit_train.models.dropout import Dropout, GeluDropout
from vit_train.models.layer_norm import LayerNorm
from vit_train.models.layers import ATTENTION_INITIALIZERS, INITIALIZERS, DropPath, LayerScale, Shape, register
from vit_train.models.self_attention import SelfAttention


@register
class TokenConvolution(keras.layers.Layer):
    """Adds to each token of the image what a depthwise convolution of 3x3 makes of its neighbours: [B, N, M] of it.

    y + convolution(y) over the square grid of the tokens, as behind the hidden activation of DHVT's feed-forward (arXiv
    2210.05958, without its batch normalisations). Kernel and bias start at zero, so that a block starts as one without.
    The first `prefix_tokens` have no place in the grid and pass by.
    """

    def __init__(self, prefix_tokens: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prefix_tokens = prefix_tokens

    def build(self, input_shape: Shape) -> None:
        width = cast(int, input_shape[-1])
        self.kernel = self.add_weight(name="kernel", shape=(3, 3, width), initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")

    def call(self, y_BNM: Any) -> Any:
        _, tokens, width = y_BNM.shape
        side = math.isqrt(tokens - self.prefix_tokens)
        y_BSSM = ops.reshape(y_BNM[:, self.prefix_tokens :], (-1, side, side, width))
        added = depthwise(y_BSSM, ops.cast(self.kernel, y_BNM.dtype)) + ops.cast(self.bias, y_BNM.dtype)
        y_BSSM = ops.reshape(y_BSSM + added, (-1, side * side, width))
        if not self.prefix_tokens:
            return y_BSSM
        return ops.concatenate([y_BNM[:, : self.prefix_tokens], y_BSSM], axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "prefix_tokens": self.prefix_tokens}


def depthwise(x_BSSM: Any, kernel_33M: Any) -> Any:
    """Convolves each channel with its own kernel of 3x3; outside of the image are zeros.

    On JAX it is the sum of nine shifted products, which XLA makes one loop: on a processor its grouped convolution
    takes five times as long.
    """
    if keras.config.backend() != "jax" or not kernels.fused():
        return ops.depthwise_conv(x_BSSM, kernel_33M[..., None], padding="same", data_format="channels_last")
    _, rows, columns, _ = x_BSSM.shape
    padded = ops.pad(x_BSSM, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = (padded[:, i : i + rows, j : j + columns] * kernel_33M[i, j] for i in range(3) for j in range(3))
    return sum(shifted)


@register
class TransformerBlock(keras.layers.Layer):
    """Pre-norm attention and MLP, each with a residual: [B, N, D] -> [B, N, D] (ViT, arXiv 2010.11929).

    As in the keras.io example, and unlike ViT, the activation follows both dense layers of the MLP, unless
    `mlp_output_activation` is false; dropout follows both. With `mlp` "conv" a `TokenConvolution` is between them, and
    with "swiglu" a second hidden layer, through SiLU, weighs the first in place of an activation (arXiv 2002.05202).
    `rotary` and `qk_norm` are of `SelfAttention`.
    `drop_path` is the rate at which an example skips a branch, `layer_scale` the first gain of the branches, if any.
    With `recompute`, which is no part of a saved model, training keeps the block's input only, and computes the block
    again in the backward pass.
    """

    recompute = False

    def __init__(
        self,
        heads: int,
        key_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_initializer: str = "glorot",
        *,
        mlp: str = "dense",
        mlp_output_activation: bool = True,
        activation: str = "gelu",
        initializer: str = "glorot",
        epsilon: float = 1e-6,
        drop_path: float = 0.0,
        layer_scale: float | None = None,
        prefix_tokens: int = 0,
        rotary: bool = False,
        qk_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.own_config: dict[str, Any] = {
            "heads": heads,
            "key_dim": key_dim,
            "mlp_dim": mlp_dim,
            "dropout": dropout,
            "attention_initializer": attention_initializer,
            "mlp": mlp,
            "mlp_output_activation": mlp_output_activation,
            "activation": activation,
            "initializer": initializer,
            "epsilon": epsilon,
            "drop_path": drop_path,
            "layer_scale": layer_scale,
            "prefix_tokens": prefix_tokens,
            "rotary": rotary,
            "qk_norm": qk_norm,
        }
        # A saved model has the precision it was trained in, and may be loaded where another one is the default.
        policy = {"dtype": self.dtype_policy}
        self.attention_norm = LayerNorm(epsilon=epsilon, name="attention_norm", **policy)
        start = ATTENTION_INITIALIZERS[attention_initializer]()
        self.attention = SelfAttention(
            heads, key_dim, rotary=rotary, qk_norm=qk_norm, prefix_tokens=prefix_tokens, epsilon=epsilon,
            dropout=dropout, kernel_initializer=start, name="attention", **policy,
        )  # fmt: skip
        self.mlp_norm = LayerNorm(epsilon=epsilon, name="mlp_norm", **policy)
        self.mlp_hidden = keras.layers.Dense(
            mlp_dim, kernel_initializer=INITIALIZERS[initializer], name="mlp_hidden", **policy
        )
        if mlp == "swiglu":
            self.mlp_gate = keras.layers.Dense(
                mlp_dim, kernel_initializer=INITIALIZERS[initializer], name="mlp_gate", **policy
            )
            self.hidden_gelu: Dropout = Dropout(dropout, name="hidden_dropout", **policy)
        else:
            self.hidden_gelu = GeluDropout(dropout, activation, name="hidden_gelu", **policy)
        if mlp_output_activation:
            self.output_gelu = GeluDropout(dropout, activation, name="output_gelu", **policy)
        else:
            self.output_gelu = Dropout(dropout, name="output_dropout", **policy)
        self.drop_path = DropPath(drop_path, name="drop_path", **policy)
        self.convolution = TokenConvolution(prefix_tokens, name="convolution", **policy) if mlp == "conv" else None
        self.scales = []
        if layer_scale is not None:
            names = ("attention_scale", "mlp_scale")
            self.scales = [LayerScale(layer_scale, name=name, **policy) for name in names]

    def build(self, input_shape: Shape) -> None:
        width, options = cast(int, input_shape[-1]), self.own_config
        hidden_shape = (*input_shape[:-1], options["mlp_dim"])
        start = INITIALIZERS[options["initializer"]]
        self.mlp_output = keras.layers.Dense(
            width, kernel_initializer=start, dtype=self.dtype_policy, name="mlp_output"
        )
        gates = [self.mlp_gate] if options["mlp"] == "swiglu" else []
        for layer in (self.attention_norm, self.attention, self.mlp_norm, *gates, self.mlp_hidden, *self.scales):
            layer.build(input_shape)
        if self.convolution:
            self.convolution.build(hidden_shape)
        self.mlp_output.build(hidden_shape)

    def call(self, x_BND: Any, training: bool | None = None) -> Any:
        if not (self.recompute and training):
            return self._computed(x_BND, training)
        # A generator would give others, which are not those of the forward pass, the second time.
        calls = {self.drop_path: 2, self.attention._dropout_layer: 1, self.hidden_gelu: 1, self.output_gelu: 1}
        seeds = {layer: [layer.next_seed() for _ in range(n)] for layer, n in calls.items() if layer.rate > 0}

        def compute(x_BND: Any) -> Any:
            for layer, drawn in seeds.items():
                layer.drawn = iter(drawn)
            try:
                return self._computed(x_BND, training)
            finally:
                for layer in seeds:
                    layer.drawn = None

        return keras.remat(compute)(x_BND)

    def _computed(self, x_BND: Any, training: bool | None) -> Any:
        y_BND = self.attention(self.attention_norm(x_BND, training=training), training=training)
        x_BND = x_BND + self._branch(y_BND, 0, training)
        return x_BND + self._branch(self._mlp(self.mlp_norm(x_BND, training=training), training), 1, training)

    def _mlp(self, x_BND: Any, training: bool | None) -> Any:
        y_BNM = self.mlp_hidden(x_BND)
        if self.own_config["mlp"] == "swiglu":
            y_BNM = ops.silu(self.mlp_gate(x_BND)) * y_BNM
        y_BNM = self.hidden_gelu(y_BNM, training=training)
        if self.convolution:
            y_BNM = self.convolution(y_BNM)
        return self.output_gelu(self.mlp_output(y_BNM), training=training)

    def _branch(self, y_BND: Any, index: int, training: bool | None) -> Any:
        """What a branch adds to its input."""
        if self.scales:
            y_BND = self.scales[index](y_BND)
        return self.drop_path(y_BND, training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.own_config}
