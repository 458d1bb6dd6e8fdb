"""Where a trained Vision Transformer looks: the attention of its blocks, over the patches of an image.

Shape suffixes as in `layers`: B batch, H heads, N tokens, S tokens per side of the image.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


def layers_with(network: keras.Model, attribute: str) -> list[Any]:
    """The layers of a network that have something to show, such as `positions` or `pixel_filters`, in order."""
    return [layer for layer in network.layers if hasattr(layer, attribute)]


def attention_weights(network: keras.Model, images_BHWC: np.ndarray) -> list[np.ndarray]:
    """Per transformer block float32 [B, H, N, N]: how much each token (third axis) takes from each (last axis).

    `images_BHWC` are float32 of the network's own size, values in [0, 255]. A network without such blocks has none.
    """
    blocks = layers_with(network, "attention_norm")
    if not blocks:
        return []
    inputs = keras.Model(network.input, [block.input for block in blocks])(images_BHWC, training=False)
    weights = []
    for block, x_BND in zip(blocks, inputs if len(blocks) > 1 else [inputs], strict=True):
        y_BND = block.attention_norm(x_BND)
        _, scores = block.attention(y_BND, return_attention_scores=True)
        weights.append(keras.ops.convert_to_numpy(keras.ops.cast(scores, "float32")))
    return weights


def rollout(weights: Sequence[np.ndarray]) -> np.ndarray:
    """float [B, N, N]: how much of each input token (last axis) has reached each output token through all blocks.

    Attention rollout (Abnar and Zuidema, arXiv 2005.00928): the product over the blocks of (A + I) / 2, where A is the
    mean over the heads and I stands for the residual.
    """
    batch, _, tokens, _ = weights[0].shape
    total = np.broadcast_to(np.eye(tokens), (batch, tokens, tokens))
    for block in weights:
        total = (block.mean(axis=1) + np.eye(tokens)) / 2 @ total
    return total


def over_patches(flow_BNN: np.ndarray, network: keras.Model) -> np.ndarray:
    """float [B, S, S]: what reaches the head from each patch, where 1 is an even share.

    With a class token that is what the token takes, else the mean over the tokens of the image.
    """
    (embedding,) = layers_with(network, "prefix_tokens")
    prefix = embedding.prefix_tokens
    share_BN = flow_BNN[:, 0, prefix:] if embedding.class_token else flow_BNN[:, prefix:, prefix:].mean(axis=1)
    side = math.isqrt(share_BN.shape[1])
    return np.asarray(share_BN / share_BN.mean(axis=1, keepdims=True)).reshape(-1, side, side)
