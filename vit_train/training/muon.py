"""Muon: the momentum of a matrix, made orthogonal (K. Jordan et al., https://kellerjordan.github.io/posts/muon)."""

import math
from typing import Any

import keras
from keras import ops

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the reference: steep at 0, and near 1 for singular values from 0.7 to 1.2
_STEPS = 5
_EPSILON = 1e-7


def matrix_shape(variable: Any) -> tuple[int, int] | None:
    """(rows, columns) as which Muon takes a variable of a block, or None for what is no matrix.

    The kernels of queries, keys and values [D, H, K] are D x HK; others have their last axis as columns, so attention's
    output [H, K, E] is HK x E, and a convolution [h, w, C, E] is hwC x E. Biases and gains are none, nor are depthwise
    kernels, [h, w, C] or [h, w, C, 1].
    """
    names, shape = variable.path.split("/"), tuple(variable.shape)
    layer = names[-2] if len(names) > 1 else ""
    attention = layer in ("query", "key", "value", "attention_output")
    if names[-1] != "kernel" or len(shape) < 2 or (len(shape) == 3 and not attention):
        return None
    rows = shape[0] if layer in ("query", "key", "value") else math.prod(shape[:-1])
    columns = math.prod(shape) // rows
    return (rows, columns) if min(rows, columns) > 1 else None


def orthogonal(x_RC: Any, dtype: str = "float32") -> Any:
    """float32 [R, C] of about the nearest matrix whose singular values are all 1; computed in `dtype`.

    Five Newton-Schulz steps of the reference's polynomial, on the smaller of the two Gram matrices.
    """
    rows, columns = x_RC.shape
    x = ops.transpose(x_RC) if rows > columns else x_RC
    x = ops.cast(x / (ops.sqrt(ops.sum(ops.square(x))) + _EPSILON), dtype)
    for _ in range(_STEPS):
        gram = ops.matmul(x, ops.transpose(x))
        x = _A * x + ops.matmul(_B * gram + _C * ops.matmul(gram, gram), x)
    x = ops.cast(x, "float32")
    return ops.transpose(x) if rows > columns else x


def muon_step(m: Any, gradient: Any, momentum: float, shape: tuple[int, int], dtype: str) -> tuple[Any, Any]:
    """What a variable loses at a learning rate of 1, and its next momentum; float32 of the gradient's shape.

    Nesterov's momentum, made orthogonal and scaled to the root mean square of AdamW's steps, about 0.2 ("Muon is
    scalable for LLM training", arXiv 2502.16982), so that learning rates and decays carry over.
    """
    whole = m.shape  # which a gradient in a graph need not know
    m = m + (gradient - m) * (1 - momentum)
    ahead = gradient + (m - gradient) * momentum
    step = orthogonal(ops.reshape(ahead, shape), dtype) * (0.2 * math.sqrt(max(shape)))
    return ops.reshape(step, whole), m


def compute_dtype() -> str:
    """The type for Newton-Schulz: bfloat16 where the run computes in it, since it is fast there."""
    return str(keras.config.dtype_policy().compute_dtype)
