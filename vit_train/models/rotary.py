"""Rotary positions: queries and keys are turned by angles that tell where in the image their token is.

Shape suffixes: H heads, N tokens, K width of a head.
"""

import math
from typing import Any

import numpy as np
from keras import ops

_BASE = 100.0  # the longest wave is nearly so many times as long as the shortest, which spans the image's half


def angles(side: int, width: int) -> np.ndarray:
    """float32 [side * side, width], tokens row by row; `width`, that of a head, is a multiple of 4.

    RoFormer's rotation (arXiv 2104.09864) in two dimensions as in DINOv3 (arXiv 2508.10104): a token is at its centre,
    rows and columns each from -1 to 1 whatever the size, and a quarter of the width each has the angles of its row and
    of its column, 2 pi * place / 100 ** (4 k / width); the second half repeats the first.
    """
    centres = (np.arange(side) + 0.5) / side * 2 - 1
    places = np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1).reshape(-1, 2, 1)
    turns = places * _BASE ** -(4 * np.arange(width // 4) / width)
    return np.tile(2 * np.pi * turns.reshape(side * side, -1), 2).astype("float32")


def rotate(x: Any, prefix_tokens: int, token_axis: int) -> Any:
    """Turns [..., K], whose tokens are on `token_axis`; the first `prefix_tokens` have no place and stay.

    Of a value and the one half of K after it, each pair is turned in its plane.
    """
    tokens, width = x.shape[token_axis], x.shape[-1]
    table_NK = np.pad(angles(math.isqrt(tokens - prefix_tokens), width), ((prefix_tokens, 0), (0, 0)))
    shape = [tokens if axis == token_axis else 1 for axis in range(len(x.shape) - 1)]
    cosine, sine = (ops.cast(f(table_NK).reshape(*shape, width), x.dtype) for f in (np.cos, np.sin))
    first, second = ops.split(x, 2, axis=-1)
    return x * cosine + ops.concatenate([-second, first], axis=-1) * sine
