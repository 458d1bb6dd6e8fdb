"""Pictures that are copies of each other, though not one byte may be the same.

Each is described by histograms of the directions of its gradients (N. Dalal and B. Triggs, CVPR 2005), which see
neither brightness nor contrast, in cells that overlap, which forgives a shift of a pixel or two. Of every value the
root is taken, so that the product of two descriptions is the Bhattacharyya coefficient of the histograms, as
R. Arandjelovic and A. Zisserman do with SIFT (CVPR 2012): 0 to 1, and 1 if they are the same. Nothing is learnt, so one
threshold is for all data. How often it errs is in docs/data_check.md.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 32  # pixels of the thumbnails
ALIKE = 0.97  # the least likeness of copies
_CELLS, _DIRECTIONS = 8, 8
_BLOCK, _ROWS = 512, 4096  # pictures at once: when they are described, and when they are compared

Descriptions = npt.NDArray[np.float32]


def thumbnail(image: Image.Image) -> npt.NDArray[np.uint8]:
    """uint8 [32, 32], grey."""
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def describe(grey: npt.NDArray[np.uint8]) -> Descriptions:
    """float32 [N, 512] of length 1 from uint8 [N, 32, 32]; all zeros for a picture without any gradient."""
    blocks = [_describe(grey[start : start + _BLOCK]) for start in range(0, len(grey), _BLOCK)]
    return np.concatenate(blocks) if blocks else np.zeros((0, _CELLS**2 * _DIRECTIONS), np.float32)


def _describe(grey: npt.NDArray[np.uint8]) -> Descriptions:
    size = SIDE // _CELLS
    offsets = np.arange(SIDE) - (np.arange(_CELLS)[:, None] * size + (size - 1) / 2)
    weights = np.exp(-2 * (offsets / size) ** 2).astype(np.float32)  # a Gaussian whose deviation is half a cell
    dy, dx = np.gradient(grey.astype(np.float32), axis=(1, 2))
    squares = dx**2 + dy**2 + np.float32(1e-9)
    cells = np.empty((len(grey), _DIRECTIONS, _CELLS, _CELLS), np.float32)
    for index, angle in enumerate(np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)):
        along = np.maximum(dx * np.float32(np.cos(angle)) + dy * np.float32(np.sin(angle)), 0)
        # A gradient counts with its length and the cube of the cosine: fully in its own direction, little beside it.
        cells[:, index] = weights @ (along**3 / squares) @ weights.T
    roots = np.sqrt(cells.reshape(len(grey), -1))
    return np.asarray(roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), np.float32(1e-9)))


def mirrored(described: Descriptions) -> Descriptions:
    """The descriptions of the pictures with left and right exchanged."""
    cells = described.reshape(-1, _DIRECTIONS, _CELLS, _CELLS)
    directions = (_DIRECTIONS // 2 - np.arange(_DIRECTIONS)) % _DIRECTIONS
    return np.ascontiguousarray(cells[:, directions, :, ::-1]).reshape(described.shape)


def nearest(parts: Sequence[Descriptions], least: float = ALIKE) -> list[tuple[npt.NDArray[np.int64], ...]]:
    """For each part, (the most alike row of parts[0], of parts[1], ...): int64 [N] each, -1 if none is alike enough.

    Mirrored pictures are alike, too. In its own part, only the rows before it are looked at.
    """
    rows = [[np.full(len(own), -1) for _ in parts] for own in parts]
    best = [[np.full(len(own), least, np.float32) for _ in parts] for own in parts]
    for first, mine in enumerate(parts):
        for second in range(first, len(parts)):
            for start in range(0, len(mine), _ROWS):
                block = mine[start : start + _ROWS]
                both = (block, mirrored(block))
                for other in range(start if first == second else 0, len(parts[second]), _ROWS):
                    theirs = parts[second][other : other + _ROWS]
                    likeness = np.maximum(*(each @ theirs.T for each in both))
                    if first == second and other == start:
                        likeness[np.tri(*likeness.shape, dtype=np.bool_)] = -1  # itself, and the rows after it
                    _keep(likeness.T, rows[second][first], best[second][first], other, start)
                    if first != second:
                        _keep(likeness, rows[first][second], best[first][second], start, other)
    return [tuple(own) for own in rows]


def _keep(
    likeness: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    best: npt.NDArray[np.float32],
    start: int,
    other: int,
) -> None:
    """Takes over what is more alike: likeness [A, B] is that of the rows from `start` on to those from `other` on."""
    place = likeness.argmax(axis=1)
    found = np.take_along_axis(likeness, place[:, None], axis=1)[:, 0]
    span = slice(start, start + len(likeness))
    # Of the same likeness the first is kept, but `best` starts at the least that counts.
    better = (found > best[span]) | ((found == best[span]) & (rows[span] < 0))
    rows[span] = np.where(better, place + other, rows[span])
    best[span] = np.where(better, found, best[span])
