"""Where in a network a variable is: before the blocks, in which one of them, or behind them."""

import re
from collections.abc import Iterator
from typing import Any

import keras

_BLOCK = re.compile(r".*block_?\d+")  # a block's layer, or the layers of one: block_0, conv2_block1_1_conv


def depths(network: keras.Model) -> dict[int, int]:
    """Of each variable, by its `id`: 0 before the first block, n in the n-th, one more than the last behind it.

    Empty if the network has no layers that are called after blocks.
    """
    blocks: dict[str, int] = {}
    layers: list[tuple[Any, bool, int]] = []
    for layer in _layers(network):
        if block := _BLOCK.match(layer.name):
            blocks.setdefault(block[0], len(blocks) + 1)
        layers.append((layer, bool(block), blocks[block[0]] if block else len(blocks)))
    if not blocks:
        return {}
    found: dict[int, int] = {}
    for layer, inside, depth in layers:
        behind = not inside and depth == len(blocks)
        found |= {id(variable): depth + behind for variable in layer.variables}
    return found


def _layers(network: keras.Model) -> Iterator[Any]:
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer
