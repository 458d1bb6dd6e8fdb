"""What a Vision Transformer has learnt: patch filters, positions, attention. Another network has none of these."""

import math
from collections.abc import Sequence

import keras
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from vit_train.data.images import with_channels
from vit_train.models.attention import attention_weights, layers_with, over_patches, rollout
from vit_train.report.canvas import figure, mosaic, shorten, without_axes

FILTERS, PLACES = 64, 12  # shown at most: filters, and positions per side of the image
MAPS = ("last block", "rollout")  # how attention is shown: that of the last block, and what has reached it through all


def patch_size(network: keras.Model) -> int | None:
    """Side of the patches in pixels; None for a network without patches."""
    found = layers_with(network, "patch_size")
    return int(found[0].patch_size) if found else None


def draw_filters(network: keras.Model) -> Figure | None:
    """The stem's filters as patches of colour, those of the largest norm, each over its own range."""
    found = layers_with(network, "pixel_filters")
    if not found:
        return None
    kernel = found[0].pixel_filters()
    norms = np.linalg.norm(kernel.reshape(len(kernel), -1), axis=1)
    chosen = np.sort(np.argsort(-norms, kind="stable")[:FILTERS])
    filters = kernel[chosen]
    filters = 0.5 + 0.5 * filters / np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    drawn = figure(f"Patch-embedding filters: {len(chosen)} of {len(kernel)}", 6, 6.3, images=True)
    axes = drawn.subplots()
    filters = with_channels(filters, 3)
    axes.imshow(np.nan_to_num(mosaic(filters, math.ceil(math.sqrt(len(filters)))), nan=1.0))
    axes.set_title("grey is 0; each filter is scaled to its own largest weight")
    without_axes(axes)
    return drawn


def draw_positions(network: keras.Model) -> Figure | None:
    """Cosine similarity of each patch's position embedding with all others, one small map per patch."""
    found = layers_with(network, "prefix_tokens")
    if not found or found[0].positions is None:
        return None
    table = np.asarray(keras.ops.convert_to_numpy(found[0].positions))[int(found[0].class_token) :]
    side = math.isqrt(len(table))
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    maps = (unit @ unit.T).reshape(side, side, side, side)
    shown = np.arange(0, side, math.ceil(side / PLACES))
    tiles = maps[np.ix_(shown, shown)].reshape(-1, side, side)
    drawn = figure("Similarity of position embeddings", 7, 6.3)
    axes = drawn.subplots()
    image = axes.imshow(mosaic(tiles, len(shown)), vmin=-1, vmax=1, cmap="viridis")
    middles = np.arange(len(shown)) * (side + 1) + (side - 1) / 2
    axes.set_xticks(middles, shown + 1)
    axes.set_yticks(middles, shown + 1)
    axes.set(xlabel="column of the patch", ylabel="row of the patch")
    axes.set_title("each small map compares one patch's position with those of all patches")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    drawn.colorbar(image, ax=axes, shrink=0.6).set_label("cosine similarity")
    return drawn


def draw_attention(network: keras.Model, prepared: np.ndarray, names: Sequence[str]) -> Figure | None:
    """Images as the network sees them (float32 [B, S, S, C], in [0, 255]), its last block's attention, and rollout."""
    found = attention_maps(network, prepared)
    if found is None:
        return None
    rows = math.ceil(len(prepared) / 2)
    drawn = figure("Attention", 10, 1.85 * rows + 0.6, images=True)
    places = drawn.subplots(rows, 6, squeeze=False).reshape(-1, 3)
    for axes in places.ravel():
        without_axes(axes)
    for (plain, *maps), image, name, *shares in zip(places, prepared, names, *found, strict=False):
        plain.imshow(with_channels(image / 255, 3))
        plain.set_title(shorten(name), fontsize=8)
        for axes, share, title in zip(maps, shares, MAPS, strict=True):
            axes.imshow(overlay(image, share))
            axes.set_title(f"{title}: {share.min():.2g} to {share.max():.2g}", fontsize=8)
    return drawn


def attention_maps(network: keras.Model, prepared: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """MAPS of images [B, S, S, C] as the network sees them, each float [B, P, P]: where 1 is a patch's even share.

    None for a network without attention.
    """
    weights = attention_weights(network, prepared)
    if not weights:
        return None
    return over_patches(weights[-1].mean(axis=1), network), over_patches(rollout(weights), network)


def overlay(image: np.ndarray, share: np.ndarray) -> np.ndarray:
    """uint8 [L, L, 3], L about 256: the image [S, S, C] in grey, bright where most of the attention [P, P] goes."""
    grey = _enlarged(image).mean(axis=-1, keepdims=True)
    low, high = float(share.min()), float(share.max())
    unit = Image.fromarray(((share - low) / ((high - low) or 1)).astype("float32"))
    smooth = np.asarray(unit.resize(grey.shape[1::-1], Image.Resampling.BILINEAR))
    colours = np.asarray(colormaps["inferno"](smooth))[..., :3]
    blended: np.ndarray = 0.4 * grey + 0.6 * 255 * colours
    return blended.round().astype("uint8")


def _enlarged(image: np.ndarray) -> np.ndarray:
    """The pixels [S, S, C] of a small image as squares, so that it is about 256 wide."""
    factor = max(1, round(256 / len(image)))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
