"""Tables of positions and patch projections for other sizes, each as one product with a matrix."""

import math

import numpy as np

_A = -0.5  # of the cubic kernel, as in Pillow and in PyTorch's bicubic resize with antialiasing


def grid_matrix(old: int, new: int) -> np.ndarray:
    """float64 [new * new, old * old]: from the values of a grid of old * old tokens to those of one of new * new."""
    line = resample_matrix(old, new)
    return np.kron(line, line)


def resample_matrix(old: int, new: int) -> np.ndarray:
    """float64 [new, old]: bicubic interpolation of `old` samples at the centres of `new` ones; its rows sum to 1.

    The cubic convolution kernel (Keys, 1981), widened when there are fewer samples than before, cut off at the ends.
    """
    scale = old / new
    widening = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale - 0.5
    weights = _cubic((np.arange(old)[None, :] - centres[:, None]) / widening)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def resampled_positions(table_ND: np.ndarray, rows: int, prefix: int) -> tuple[np.ndarray, str] | None:
    """A table [N, D] for another grid of patches, float32 [rows, D], and how it was; the first `prefix` rows stay.

    Bicubic with antialiasing, in float64. None if one of them has no square of patches.
    """
    old, new = math.isqrt(len(table_ND) - prefix), math.isqrt(rows - prefix)
    if (old**2, new**2) != (len(table_ND) - prefix, rows - prefix):
        return None
    grid = grid_matrix(old, new) @ table_ND[prefix:].astype("float64")
    table = np.concatenate([table_ND[:prefix], grid.astype("float32")])
    return table, f"positions of {old} x {old} to {new} x {new} patches"


def resampled_patches(kernel_PD: np.ndarray, values: int) -> tuple[np.ndarray, str] | None:
    """A projection of patches of three channels [P, D] for another size, float32 [values, D], and how it was.

    By the pseudo-inverse of how patches would be resized, so that one that is enlarged gives the token that it gave
    (FlexiViT, arXiv 2212.08013, section 3.4). None if one of them has no square of pixels.
    """
    old, new = math.isqrt(len(kernel_PD) // 3), math.isqrt(values // 3)
    if (3 * old**2, 3 * new**2) != (len(kernel_PD), values):
        return None
    inverse = np.linalg.pinv(grid_matrix(old, new).T)
    kernel = np.einsum("np,pcd->ncd", inverse, kernel_PD.reshape(old**2, 3, -1).astype("float64"))
    return kernel.reshape(values, -1).astype("float32"), f"patches of {old} x {old} to {new} x {new} pixels"


def _cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = ((_A + 2) * x - (_A + 3)) * x * x + 1
    far = ((_A * x - 5 * _A) * x + 8 * _A) * x - 4 * _A
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
