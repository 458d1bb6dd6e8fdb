"""From the layout of a tensor in another library to that of our variable.

Shape suffixes: D width of a token, H heads, K width of a head, P rows and columns of a patch.
"""

from collections.abc import Callable

import numpy as np

Layout = Callable[[np.ndarray, int], np.ndarray]  # of a tensor and the number of heads


def same(w: np.ndarray, heads: int) -> np.ndarray:
    """As it is."""
    return w


def token(w: np.ndarray, heads: int) -> np.ndarray:
    """Learned tokens [D] or [1, N, D] -> [1, N, D]."""
    return w.reshape(1, -1, w.shape[-1])


def table(w: np.ndarray, heads: int) -> np.ndarray:
    """Positions [N, D] or [1, N, D] -> [N, D]."""
    return w.reshape(-1, w.shape[-1])


def dense(w: np.ndarray, heads: int) -> np.ndarray:
    """PyTorch's [out, in] -> Keras' [in, out]."""
    return w.T


def patches(w: np.ndarray, heads: int) -> np.ndarray:
    """PyTorch's convolution [D, 3, P, P] -> [P * P * 3, D]: values of a patch in the order row, column, channel."""
    return w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0])


def flax_patches(w: np.ndarray, heads: int) -> np.ndarray:
    """Flax' convolution [P, P, 3, D] -> [P * P * 3, D]."""
    return w.reshape(-1, w.shape[-1])


def into_heads(w: np.ndarray, heads: int) -> np.ndarray:
    """A projection [H * K, D] or its bias [H * K] -> [D, H, K] or [H, K]; rows of one head are neighbours."""
    return w.T.reshape(*w.shape[1:], heads, -1)


def from_heads(w: np.ndarray, heads: int) -> np.ndarray:
    """The projection of what the heads gathered [D, H * K] -> [H, K, D]."""
    return w.T.reshape(heads, -1, w.shape[0])
