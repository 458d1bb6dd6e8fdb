"""Files of tensors -> arrays, in time and memory bounded by the file's own size, and running nothing that is in it."""

import math
import os
import re
import shlex
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes  # noqa: F401, with which NumPy knows bfloat16
import numpy as np
from safetensors import SafetensorError, safe_open

from vit_train.errors import CheckpointError
from vit_train.files import read_json
from vit_train.text import one_line

Shape = tuple[int, ...]
SUFFIXES = (".safetensors", ".npz", ".h5")
PRESET = "model.weights.h5"  # of a backbone, in a folder that KerasHub saves
PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
_MOST_UNPACKED = 10  # times what an array has in a .npz: weights are noise, of which nothing can make a tenth
_TO_SAFETENSORS = (
    'python -c "import sys, torch; from safetensors.torch import save_file; '
    "found = torch.load(sys.argv[1], map_location='cpu', weights_only=True); "
    "found = found.get('model', found.get('state_dict', found)); "
    'save_file({name: each.contiguous().clone() for name, each in found.items()}, sys.argv[2])"'
)


def shapes(path: Path) -> dict[str, Shape]:
    """The shape of each tensor of a .safetensors, .npz or .h5 file, or of a folder with one; only headers are read.

    Raises CheckpointError, one sentence, for what is none or could not be one.
    """
    found: dict[str, Shape] = {}
    for file in files(path):
        with _explained(file):
            of_file = _SHAPES.get(file.suffix, _shapes_of_safetensors)(file)
            if twice := found.keys() & of_file.keys():
                raise ValueError(f"{min(twice)} is also in another of the folder's files")
            found |= of_file
    if not found:
        raise CheckpointError(f"{path}: has no tensors")
    return found


def read(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Some of the tensors, as float32; raises CheckpointError as `shapes` does, and for one that holds no floats."""
    found: dict[str, np.ndarray] = {}
    for file in files(path):
        with _explained(file):
            if file.suffix == ".h5":
                with h5py.File(file) as content:
                    found |= {name: _as_float32(name, each[()]) for name, each in _datasets(content) if name in names}
            elif file.suffix == ".npz":
                with np.load(file, allow_pickle=False) as archive:
                    found |= {name: _as_float32(name, archive[name]) for name in archive.files if name in names}
            else:
                with safe_open(file, "numpy") as content:
                    for name in content.keys():  # noqa: SIM118, it is no mapping
                        if name in names:
                            found[name] = _as_float32(name, content.get_tensor(name))
    return found


def _as_float32(name: str, values: np.ndarray) -> np.ndarray:
    if not np.can_cast(values.dtype, "float64") or values.dtype.kind in "iub":
        raise ValueError(f"{name} holds {values.dtype}, and weights are floats")
    return values.astype("float32")


def files(path: Path) -> list[Path]:
    """The file, or those of a folder: model.safetensors, or the parts that model.safetensors.index.json names."""
    if not path.is_dir():
        return [path]
    if (path / "model.safetensors").exists():
        return [path / "model.safetensors"]
    if (path / PRESET).exists():
        return [path / PRESET]
    index = path / "model.safetensors.index.json"
    if index.exists():
        with _explained(index):
            names = sorted(set(read_json(index)["weight_map"].values()))
            if any(Path(name).name != name or not name.endswith(".safetensors") for name in names):
                raise ValueError("its weight_map names something other than .safetensors files beside it")
            return [path / name for name in names]
    if len(found := sorted(path.glob("*.safetensors"))) == 1:
        return found
    if pickles := sorted(each for each in path.iterdir() if each.suffix in PICKLES):
        return pickles[:1]  # which is refused with the command that converts it
    has = f"has {len(found)} .safetensors files" if found else "has no .safetensors file"
    raise CheckpointError(f"{path}: {has}; name one file")


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """What can go wrong with a file, as one sentence; what is no regular file is not waited for."""
    try:
        if not file.exists():
            raise FileNotFoundError("there is no such file")
        if not file.is_file():
            raise ValueError("it is no regular file")
        with file.open("rb") as content:
            start = content.read(2)
        if file.suffix in PICKLES or (
            file.suffix not in (".npz", ".h5") and start in (b"PK", b"\x80\x02", b"\x80\x04")
        ):
            command = f"{_TO_SAFETENSORS} {shlex.quote(file.name)} {shlex.quote(f'{file.stem}.safetensors')}"
            raise CheckpointError(
                f"{file}: is a pickle of PyTorch, which can run anything; make a .safetensors of it with: {command}"
            )
        yield
    except SafetensorError as error:
        raise CheckpointError(f"{file}: is no whole .safetensors file ({one_line(str(error))})") from error
    except KeyError as error:
        raise CheckpointError(f"{file}: has no {error}") from error
    except (OSError, ValueError, TypeError, AttributeError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise CheckpointError(f"{file}: cannot be read ({one_line(str(reason))})") from error


def _shapes_of_safetensors(file: Path) -> dict[str, Shape]:
    with safe_open(file, "numpy") as content:
        return {name: tuple(content.get_slice(name).get_shape()) for name in content.keys()}  # noqa: SIM118, it is no mapping


def _shapes_of_npz(file: Path) -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            shape, kind = _header(archive, entry)
            if name in found:
                raise ValueError(f"{name} is there twice")
            if max(math.prod(shape) * kind.itemsize, entry.file_size) > _MOST_UNPACKED * entry.compress_size:
                raise ValueError(f"{name} of {shape} unpacks to more than its {entry.compress_size:,} bytes can hold")
            found[name] = shape
    return found


def _header(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[Shape, np.dtype]:
    """Shape and type of an array."""
    with archive.open(entry) as content:
        old = np.lib.format.read_magic(content) == (1, 0)
        read_header = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        shape, _, kind = read_header(content)
    return shape, kind


def _shapes_of_h5(file: Path) -> dict[str, Shape]:
    with h5py.File(file) as content:
        found = {}
        for name, each in _datasets(content):
            if each.external or each.is_virtual:
                raise ValueError(f"{name} is kept in another file")
            if each.nbytes > _MOST_UNPACKED * each.id.get_storage_size():
                raise ValueError(f"{name} of {each.shape} unpacks to more than its bytes can hold")
            found[name] = tuple(each.shape)
        return found


def _datasets(content: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """The arrays with their names, in which the blocks are numbered from 0; links to other files are not followed."""
    found: list[tuple[str, Any]] = []
    content.visititems(lambda name, each: found.append((name, each)))
    for name, each in found:
        if isinstance(each, h5py.Dataset):
            yield re.sub(r"(?<=_encoder_block)(?=/)", "_0", name), each


_SHAPES = {".npz": _shapes_of_npz, ".h5": _shapes_of_h5}
