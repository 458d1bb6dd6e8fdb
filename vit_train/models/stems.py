"""From images to a sequence of tokens.

Shape suffixes: B batch, H and W image rows and columns, C channels, N tokens, P values of a patch, D width of a token.
"""

import math
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from vit_train.models.batch_norm import BatchNormalization
from vit_train.models.layers import INITIALIZERS, TRUNCATED_NORMAL, Shape, register
from vit_train.models.positions import grid_matrix


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


@register
class ConvStem(keras.layers.Layer):
    """Convolutions of 3x3 that each halve the image: [B, H, W, C] -> [B, N, D], tokens row by row over the image.

    `widths` are the channels of each, the last of them the width of a token. A normalisation ("batch", "layer" or
    "none") and ReLU follow all but the last ("Early Convolutions Help Transformers See Better", arXiv 2106.14881,
    without its convolution of 1x1). What a normalisation follows has no bias.
    """

    def __init__(self, widths: tuple[int, ...], norm: str = "batch", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widths, self.norm = tuple(widths), norm
        policy, last = {"dtype": self.dtype_policy}, len(widths) - 1
        self.convolutions = [
            keras.layers.Conv2D(
                width, 3, strides=2, padding="same", use_bias=norm == "none" or index == last,
                data_format="channels_last", name=f"convolution_{index}", **policy,
            )
            for index, width in enumerate(self.widths)
        ]  # fmt: skip
        self.norms = [_normalization(norm, f"norm_{index}", policy) for index in range(last)]

    def build(self, input_shape: Shape) -> None:
        shape = input_shape
        for index, convolution in enumerate(self.convolutions):
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
            if index < len(self.norms):
                self.norms[index].build(shape)

    def call(self, x_BHWC: Any, training: bool | None = None) -> Any:
        for convolution, norm in zip(self.convolutions, self.norms, strict=False):
            x_BHWC = ops.relu(norm(convolution(x_BHWC), training=training))
        x_BHWD = self.convolutions[-1](x_BHWC)
        _, rows, columns, width = x_BHWD.shape
        return ops.reshape(x_BHWD, (-1, rows * columns, width))

    def pixel_filters(self) -> np.ndarray:
        """The first convolution's, float32 [channels, 3, 3, C]."""
        return np.moveaxis(keras.ops.convert_to_numpy(self.convolutions[0].kernel), -1, 0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "widths": self.widths, "norm": self.norm}


def _normalization(kind: str, name: str, policy: dict[str, Any]) -> keras.layers.Layer:
    """Momentum and epsilon are PyTorch's, with which the recipes that use such stems were published."""
    if kind == "batch":
        return BatchNormalization(momentum=0.9, epsilon=1e-5, name=name, **policy)
    if kind == "layer":
        return keras.layers.LayerNormalization(epsilon=1e-6, name=name, **policy)
    return keras.layers.Identity(name=name, **policy)


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
class TokenEmbedding(keras.layers.Layer):
    """Tells tokens their places, and adds tokens that are of no place: [B, N, D] -> [B, prefix_tokens + N, D].

    `position_embedding` is "learned" (a trainable table), "sincos" (fixed), or another word for no table. Before the
    patches come the class token, if any, with a learned position of its own but no fixed one, and then `registers`
    learned tokens without position ("Vision Transformers Need Registers", arXiv 2309.16588). For another number of
    patches than it was built for, a learned table is resampled (bicubic, with antialiasing).
    """

    def __init__(
        self,
        width: int,
        position_embedding: str = "learned",
        class_token: bool = False,
        registers: int = 0,
        initializer: str = "glorot",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.position_embedding = position_embedding
        self.class_token = class_token
        self.registers = registers
        self.initializer = initializer
        self.positions: Any = None

    @property
    def prefix_tokens(self) -> int:
        """How many tokens come before those of the image."""
        return int(self.class_token) + self.registers

    def build(self, input_shape: Shape) -> None:
        tokens = cast(int, input_shape[1])
        if self.class_token:
            self.token = self.add_weight(name="class_token", shape=(1, 1, self.width), initializer="zeros")
        if self.position_embedding == "learned":
            shape = (tokens + self.class_token, self.width)
            # keras.layers.Embedding's default, which the keras.io example uses: uniform +-0.05.
            start = "uniform" if self.initializer == "glorot" else INITIALIZERS[self.initializer]
            self.positions = self.add_weight(name="positions", shape=shape, initializer=start)
        elif self.position_embedding == "sincos":
            self.positions = self._with_class_token(sincos_positions(tokens, self.width))
        if self.registers:
            self.register_tokens = self.add_weight(
                name="registers", shape=(1, self.registers, self.width), initializer=TRUNCATED_NORMAL
            )

    def call(self, x_BND: Any) -> Any:
        tokens = x_BND.shape[1]
        if self.class_token:
            x_BND = ops.concatenate([self._of_each(self.token, x_BND), x_BND], axis=1)
        if self.positions is not None:
            x_BND = x_BND + ops.cast(self._positions(tokens), x_BND.dtype)
        if self.registers:
            place = int(self.class_token)
            parts = [x_BND[:, :place], self._of_each(self.register_tokens, x_BND), x_BND[:, place:]]
            x_BND = ops.concatenate(parts, axis=1)
        return x_BND

    def _of_each(self, learned_1ND: Any, x_BND: Any) -> Any:
        _, count, width = learned_1ND.shape
        return ops.broadcast_to(ops.cast(learned_1ND, x_BND.dtype), (ops.shape(x_BND)[0], count, width))

    def _positions(self, tokens: int) -> Any:
        """The table for this many patches, [N, D], or [N + 1, D] with a class token."""
        first = int(self.class_token)
        if tokens + first == self.positions.shape[0]:
            return self.positions
        if self.position_embedding == "sincos":
            return self._with_class_token(sincos_positions(tokens, self.width))
        old, new = math.isqrt(self.positions.shape[0] - first), math.isqrt(tokens)
        matrix = grid_matrix(old, new).astype("float32")
        return ops.concatenate([self.positions[:first], ops.matmul(matrix, self.positions[first:])], axis=0)

    def _with_class_token(self, table_ND: np.ndarray) -> np.ndarray:
        return np.pad(table_ND, ((int(self.class_token), 0), (0, 0)))

    def get_config(self) -> dict[str, Any]:
        names = ("width", "position_embedding", "class_token", "registers", "initializer")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@register
class PatchEmbedding(TokenEmbedding):
    """Projects patches to tokens first: [B, N, P] -> [B, prefix_tokens + N, D]; else as `TokenEmbedding`."""

    def __init__(self, width: int, *arguments: Any, **options: Any) -> None:
        super().__init__(width, *arguments, **options)
        start = INITIALIZERS[self.initializer]
        self.projection = keras.layers.Dense(
            width, kernel_initializer=start, dtype=self.dtype_policy, name="projection"
        )

    def build(self, input_shape: Shape) -> None:
        self.projection.build(input_shape)
        super().build((*input_shape[:-1], self.width))

    def call(self, patches_BNP: Any) -> Any:
        return super().call(self.projection(patches_BNP))

    def pixel_filters(self) -> np.ndarray:
        """The projection's, float32 [D, patch_size, patch_size, C]."""
        kernel: np.ndarray = keras.ops.convert_to_numpy(self.projection.kernel).T
        values = kernel.shape[1]
        channels = 1 if math.isqrt(values) ** 2 == values else 3  # three times a square is never one
        size = math.isqrt(values // channels)
        return kernel.reshape(-1, size, size, channels)
