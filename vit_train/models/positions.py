"""Tables of positions for another number of tokens, as one product with a matrix."""

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


def _cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = ((_A + 2) * x - (_A + 3)) * x * x + 1
    far = ((_A * x - 5 * _A) * x + 8 * _A) * x - 4 * _A
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
