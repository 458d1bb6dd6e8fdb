"""Ternary kernels in 1.6 bits per weight: written from a trained network, and read back into one."""

import math
from pathlib import Path

import keras
import numpy as np

from vit_train.config.models import ModelConfig
from vit_train.models.ternary import TernaryDense, kernel_scale, quantise_kernel

_PLACES = np.array([81, 27, 9, 3, 1])  # five digits of base 3 are less than 256


def export_weights(config: ModelConfig, network: keras.Model, ternary: Path) -> dict[str, int]:
    """Writes what the config asks for besides model.keras, to `ternary`; returns each file's name and bytes."""
    if not config.packs_ternary:
        return {}
    write_ternary(network, ternary)
    return {ternary.name: ternary.stat().st_size}


def write_ternary(network: keras.Model, path: Path) -> None:
    """Writes all weights as .npz, under their number and path: a ternary kernel as codes, packed, and a scale.

    The other weights are arrays as they are.
    """
    kernels = {id(layer.kernel) for layer in _ternary_layers(network)}
    arrays: dict[str, np.ndarray] = {}
    for name, weight in _named(network):
        if id(weight) in kernels:
            scale = kernel_scale(weight.value)
            codes = keras.ops.convert_to_numpy(quantise_kernel(weight.value, scale))
            arrays |= {f"{name}/codes": pack(codes), f"{name}/scale": keras.ops.convert_to_numpy(scale)}
        else:
            arrays[name] = keras.ops.convert_to_numpy(weight)
    np.savez(path, allow_pickle=False, **arrays)


def read_ternary(network: keras.Model, path: Path) -> None:
    """Gives `network`, newly built from the same config, the weights of `write_ternary`.

    It predicts what the written one did, bit for bit, but it cannot be trained: what the codes were rounded from is
    not in the file.
    """
    for layer in _ternary_layers(network):
        layer.frozen = True
    with np.load(path, allow_pickle=False) as file:
        for name, weight in _named(network):
            if name in file:
                weight.assign(file[name])
            else:
                weight.assign(unpack(file[f"{name}/codes"], tuple(weight.shape)) * file[f"{name}/scale"])
    network.get_layer("normalization").finalize_state()  # takes up the statistics among them


def pack(codes: np.ndarray) -> np.ndarray:
    """Numbers -1, 0 and 1 of any shape -> uint8 [ceil(size / 5)]: five of them, as digits of base 3, to a byte."""
    digits = np.zeros(math.ceil(codes.size / 5) * 5, "uint8")
    digits[: codes.size] = codes.ravel() + 1
    packed: np.ndarray = digits.reshape(-1, 5) @ _PLACES
    return packed.astype("uint8")


def unpack(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 array of this shape that `pack` was given."""
    digits: np.ndarray = packed[:, None] // _PLACES % 3
    return digits.ravel()[: math.prod(shape)].reshape(shape).astype("float32") - 1


def _ternary_layers(network: keras.Model) -> list[TernaryDense]:
    return [layer for layer in network._flatten_layers() if isinstance(layer, TernaryDense)]


def _named(network: keras.Model) -> list[tuple[str, keras.Variable]]:
    return [(f"{index:04}/{weight.path}", weight) for index, weight in enumerate(network.weights)]
