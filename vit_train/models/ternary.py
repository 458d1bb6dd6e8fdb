"""Dense layers whose kernels are {-1, 0, 1} times a scale: the arithmetic and the layers."""

import math
from typing import Any, cast

import keras
from keras import ops

from vit_train.models.layers import Shape, register

SMALLEST = 1e-5  # the least scale of a kernel, and the least largest activation of a token


def kernel_scale(w: Any) -> Any:
    """The scale of a float32 kernel: the mean of |w|."""
    return ops.maximum(ops.mean(ops.abs(w)), SMALLEST)


def quantise_kernel(w: Any, scale: Any) -> Any:
    """A kernel's codes, -1, 0 or 1 of the same shape; the kernel that counts is codes * scale.

    "The Era of 1-bit LLMs", arXiv 2402.17764, equations 1 to 3.
    """
    return ops.clip(ops.round(w * (1 / scale)), -1, 1)


def quantise_activations(x: Any) -> tuple[Any, Any]:
    """Float32 [..., D] -> whole numbers in [-127, 127] of the same shape, and the step [..., 1] that they count.

    The step is a 127th of the token's largest absolute value (same paper, after BitNet, arXiv 2310.11453, equation 4).
    """
    largest = ops.maximum(ops.max(ops.abs(x), axis=-1, keepdims=True), SMALLEST)
    return ops.round(x * (127 / largest)), largest / 127


@ops.custom_gradient  # type: ignore[untyped-decorator]
def ternary_matmul(x: Any, w: Any, scale: Any) -> Any:
    """x [..., D] times w [D, U], both quantised, w to codes of `scale`: float32 [..., U].

    The product is one of whole numbers, which float32 holds exactly, so its value depends on no order of summation.
    The gradients pass straight through both roundings: to x as if it were not rounded, and to w as if it were its
    codes, so that it has the factor `scale`.
    """
    counts, step = quantise_activations(x)
    codes = quantise_kernel(w, scale)
    y = ops.matmul(counts, codes) * (step * scale)

    def gradient(*gradients: Any, upstream: Any = None) -> tuple[Any, Any, Any]:
        g = gradients[0] if upstream is None else upstream
        inputs, units = w.shape
        rounded = ops.reshape(counts * (step * scale), (-1, inputs))
        of_w = ops.matmul(ops.transpose(rounded), ops.reshape(g, (-1, units)))
        return ops.matmul(g, ops.transpose(codes)) * scale, of_w, ops.sum(g * y) / scale

    return y, gradient


@register
class RMSNorm(keras.layers.Layer):
    """x / sqrt(mean(x ** 2)) over the last axis, times a gain ("Root Mean Square Layer Norm", arXiv 1910.07467).

    The gain, ones at first, has the shape of one example: for [B, N, D] it is [N, D], so that every token has its own.
    """

    def build(self, input_shape: Shape) -> None:
        self.gain = self.add_weight(name="gain", shape=input_shape[1:], initializer="ones", autocast=False)

    def call(self, x: Any) -> Any:
        x = ops.cast(x, "float32")
        squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
        # As keras.ops.normalize, which has no gradient where x is zero.
        norm = ops.rsqrt(ops.maximum(squares, 1e-14)) * math.sqrt(x.shape[-1])
        return ops.cast(x * norm * self.gain, self.compute_dtype)


@register
class TernaryDense(keras.layers.Layer):
    """RMSNorm, then a dense layer of 8-bit activations and a ternary kernel: float [..., D] -> [..., units].

    With `gain_per_token` false, the norm's gain is [D] also where the input has tokens. The kernel of a layer that
    `export.read_ternary` has made `frozen` is codes * scale already and keeps that scale.

    DenseMML of keras-matmulless 0.1.2 computes the same until it is saved. It stores codes and scale in place of the
    kernel, and a loaded layer has the codes as its kernel, the scale as a constant and the bias as an array: in further
    training the kernel is no longer quantised and the bias gets no gradient. What is stored here is the kernel, so a
    loaded layer is the one that was saved.
    """

    def __init__(self, units: int, gain_per_token: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.gain_per_token, self.frozen = units, gain_per_token, False
        # Rounding to 8 bits needs activations that are more precise than that.
        self.norm = RMSNorm(dtype="float32", name="norm")

    def build(self, input_shape: Shape) -> None:
        width = cast(int, input_shape[-1])
        self.norm.build(input_shape if self.gain_per_token else (None, width))
        shape = (width, self.units)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="glorot_uniform", autocast=False)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros", autocast=False)

    def call(self, x: Any) -> Any:
        w = ops.copy(self.kernel)  # a tensor: TensorFlow's custom gradients take no variables
        scale = ops.maximum(ops.max(ops.abs(w)), SMALLEST) if self.frozen else kernel_scale(w)
        return ops.cast(ternary_matmul(self.norm(x), w, scale) + self.bias, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "gain_per_token": self.gain_per_token}

    def save_own_variables(self, store: Any) -> None:
        if self.frozen:
            raise ValueError(f"{self.path}: was read back from ternary.npz and cannot be saved; model.keras has it")
        super().save_own_variables(store)
