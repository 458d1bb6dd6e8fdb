"""Files that other libraries wrote of a Vision Transformer, and which model and which weights they are of."""

import dataclasses
import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vit_train.errors import CheckpointError
from vit_train.pretrained import beside, tensors
from vit_train.pretrained.families import FAMILIES, FLAX, KERAS_HUB, Family, Row
from vit_train.pretrained.tensors import Shape
from vit_train.pretrained.weights import Weights, sha256_of
from vit_train.text import some

# Keys of our model that tensors alone do not tell; that of heads some do.
FACTS = ("heads", "norm_epsilon", "activation", "mean", "std")
_MAY_BE_ABSENT = ("embedding/projection/bias", *(f"attention/{part}/bias" for part in ("query", "key", "value")))


@dataclass(frozen=True)
class ForeignFile:
    """A file, or a folder of one, as far as its headers.

    `prefix` stands before the family's names. `rows` are (what a tensor is, the number of its block) by its name;
    `skipped` why our model has no use for one; `unknown` those that the family has no place for; `facts` the keys of
    our model that the family or what lies beside the file says.
    """

    path: Path
    family: Family
    prefix: str
    shapes: dict[str, Shape]
    rows: dict[str, tuple[Row, str]]
    skipped: dict[str, str]
    unknown: tuple[str, ...]
    facts: dict[str, Any]

    def shape_of(self, variable: str) -> Shape | None:
        """The shape of what becomes a variable of our model, and would if there were one head; None if nothing does."""
        for name, (row, block) in self.rows.items():
            if variable in (path.format(block) for path in row.paths):
                return _parts(self.path, name, row, np.broadcast_to(np.float32(0), self.shapes[name]), 1)[0].shape
        return None

    def require_shape_of(self, variable: str, rank: int) -> Shape:
        """As `shape_of`; raises CheckpointError if nothing has the variable's shape."""
        shape = self.shape_of(variable)
        if shape is None or len(shape) != rank:
            raise CheckpointError(f"{self.path}: has no tensor of weights of {self.family.name} for {variable}")
        return shape

    @property
    def class_token(self) -> bool:
        """Whether there is one."""
        return self.shape_of("embedding/class_token") is not None

    @property
    def registers(self) -> int:
        """How many learned tokens there are besides."""
        return (self.shape_of("embedding/registers") or (1, 0, 0))[1]

    @property
    def has_table(self) -> bool:
        """Whether positions are a table; raises CheckpointError if they are not and nothing says what else they are."""
        if self.shape_of("embedding/positions") is not None:
            return True
        if self.facts.get("position_embedding") == "rope":
            return False
        raise CheckpointError(
            f"{self.path}: has no table of positions, and no config.json beside it says that it is DINOv3, whose "
            "positions are rotary; bring that file, too"
        )

    @property
    def prefix_positions(self) -> int:
        """How many rows of the table of positions are no patch's; raises CheckpointError if no square is left."""
        rows = self.require_shape_of("embedding/positions", 2)[0]
        first = int(self.class_token)
        for prefix in (first, 0, first + self.registers):
            if rows > prefix and math.isqrt(rows - prefix) ** 2 == rows - prefix:
                return prefix
        raise CheckpointError(f"{self.path}: has {rows} positions, which are no square of patches")


def is_foreign(path: Path) -> bool:
    """Whether a path looks like a file of tensors, or like a folder with one, and not like a run of ours."""
    if path.is_dir():
        names = ("config.json", "open_clip_config.json", "model.safetensors", tensors.PRESET)
        return not (path / "config.yaml").exists() and any((path / name).exists() for name in names)
    return path.suffix in (*tensors.SUFFIXES, *tensors.PICKLES)


def look(path: Path) -> ForeignFile:
    """What a file or folder holds; raises CheckpointError if it cannot be read, or is of no family that is known."""
    shapes = tensors.shapes(path)
    family, prefix = _family_of(path, shapes)
    rows: dict[str, tuple[Row, str]] = {}
    skipped: dict[str, str] = {}
    unknown = []
    patterns = [(re.compile(re.escape(row.name).replace(r"\{\}", "([0-9]{1,4})")), row) for row in family.rows]
    for name in shapes:
        bare = name.removeprefix(prefix)
        matches = [(row, match) for pattern, row in patterns if (match := pattern.fullmatch(bare))]
        reasons = [why for pattern, why in family.ignored.items() if re.fullmatch(pattern, bare)]
        if matches and name.startswith(prefix):
            row, match = matches[0]
            rows[name] = row, match[1] if match.groups() else ""
        elif reasons:
            skipped[name] = reasons[0]
        else:
            unknown.append(name)
    found = ForeignFile(path, family, prefix, shapes, rows, skipped, tuple(unknown), {})
    width = found.require_shape_of("embedding/projection/kernel", 2)[1]
    facts = {**family.facts, **beside.facts(path, family, width)}
    if family in (FLAX, KERAS_HUB):
        facts["heads"] = found.require_shape_of("block_0/attention/query/kernel", 3)[1]
    elif "heads" not in facts and width in family.heads:
        facts["heads"] = family.heads[width]
    return dataclasses.replace(found, facts=facts)


def _family_of(path: Path, shapes: dict[str, Shape]) -> tuple[Family, str]:
    """(the family whose patch projection a file has, what stands before all of its names)."""
    found = [
        (family, name.removesuffix(family.anchor))
        for family in FAMILIES
        for name in shapes
        if name == family.anchor or name.endswith((f".{family.anchor}", f"/{family.anchor}"))
        if not family.lacks or name.removesuffix(family.anchor) + family.lacks not in shapes
    ]
    found = [each for each in found if each[0].lacks] or found
    if len(found) == 1:
        return found[0]
    known = ", ".join(family.name for family in FAMILIES)
    raise CheckpointError(
        f"{path}: has the patch projection of {'more than one' if found else 'no'} Vision Transformer of {known}; its "
        f"tensors are {some(shapes)}"
    )


def model_keys(file: ForeignFile, pooling: str | None) -> dict[str, Any]:
    """The keys of our model that a file decides, plain values; heads and others that nothing tells are left out.

    Without the class token's `pooling` that token is the first register, since it still takes part in attention. Raises
    CheckpointError for what is no Vision Transformer of ours.
    """
    values, width = file.require_shape_of("embedding/projection/kernel", 2)
    patch = math.isqrt(values // 3)
    if patch**2 * 3 != values:
        raise CheckpointError(f"{file.path}: has patches of {values} values, which are no square of three channels")
    hidden = file.require_shape_of("block_0/mlp_hidden/kernel", 2)[1]
    pooling = pooling or file.facts.get("pooling") or "class_token"
    if not file.class_token and pooling == "class_token":
        pooling = "average"
    size = {}
    if file.has_table:
        side = math.isqrt(file.require_shape_of("embedding/positions", 2)[0] - file.prefix_positions)
        size = {"position_embedding": "learned", "image_size": side * patch}
    blocks = {int(block) for _, block in file.rows.values() if block}
    if missing := set(range(max(blocks))) - blocks:
        raise CheckpointError(f"{file.path}: has tensors of block {max(blocks)}, but none of block {min(missing)}")
    pre_norm = file.shape_of("pre_norm/gamma") is not None
    qk_norm = file.shape_of("block_0/attention/query_norm/gamma") is not None
    as_register = file.class_token and pooling != "class_token"
    return {
        "name": "vit", "stem": "patch", "mlp": "swiglu" if file.shape_of("block_0/mlp_gate/kernel") else "dense",
        "mlp_output_activation": False, "key_dim": None, "pooling": pooling, "patch_size": patch,
        "projection_dim": width, "mlp_ratio": hidden / width, "depth": len(blocks), "qk_norm": qk_norm,
        "layer_scale": 1e-5 if file.shape_of("block_0/attention_scale/gain") else None,
        "register_tokens": file.registers + as_register, "pre_norm": pre_norm,
        "final_norm": "pooled" if any(name.endswith("fc_norm.weight") for name in file.rows) else "tokens",
        **size, **{name: value for name, value in file.facts.items() if name != "pooling"},
    }  # fmt: skip


def read(path: Path, heads: int, class_token: bool) -> Weights:
    """The tensors as variables of our model of so many heads, with or without a class token.

    Raises CheckpointError if a tensor has no place, two have the same, or one has a shape that cannot be.
    """
    file = look(path)
    if file.unknown:
        raise CheckpointError(
            f"{path}: {len(file.unknown)} of its tensors have no place in a Vision Transformer of {file.family.name} "
            f"as this program has it: {some(file.unknown)}"
        )
    arrays: dict[str, np.ndarray] = {}
    names: dict[str, str] = {}
    for name, values in tensors.read(path, file.rows).items():
        row, block = file.rows[name]
        for variable, part in zip(row.paths, _parts(path, name, row, values, heads), strict=True):
            place = variable.format(block)
            if place in arrays:
                raise CheckpointError(f"{path}: {names[place]} and {name} are both {place}")
            arrays[place], names[place] = part, name
    _place_prefix_tokens(file, arrays, names, class_token)
    zeros = {place: np.zeros(shape, "float32") for place, shape in _absent_biases(arrays)}
    source, digest = _identity(path)
    return Weights(file.family.name, source, digest, arrays | zeros, names, file.skipped, zeros=tuple(zeros))


def _parts(path: Path, name: str, row: Row, values: np.ndarray, heads: int) -> list[np.ndarray]:
    """What a tensor is split into, each laid out as our variable."""
    try:
        return [row.layout(part, heads) for part in np.split(values, len(row.paths))]
    except (ValueError, IndexError) as error:
        shape = " x ".join(map(str, values.shape)) or "one number"
        raise CheckpointError(f"{path}: {name} is {shape}, which cannot be laid out for {heads} heads") from error


def _place_prefix_tokens(
    file: ForeignFile, arrays: dict[str, np.ndarray], names: dict[str, str], class_token: bool
) -> None:
    """Brings tokens that are no patch's into our form: a class token has a position, registers have none.

    What has a position here that it has not there gets 0, and what has none here has it added.
    """
    parts = [name for name in ("embedding/class_token", "embedding/registers") if name in arrays]
    if not parts:
        return
    tokens = np.concatenate([arrays.pop(name) for name in parts], axis=1)
    sources = " and ".join(names.pop(name) for name in parts)
    places = np.zeros_like(tokens[0])
    first = int(class_token)
    if file.has_table:
        positions, prefix = arrays["embedding/positions"], file.prefix_positions
        places[:prefix] = positions[:prefix]
        arrays["embedding/positions"] = np.concatenate([places[:first], positions[prefix:]])
    if class_token:
        arrays["embedding/class_token"], names["embedding/class_token"] = tokens[:, :1], sources
    if tokens.shape[1] > first:
        arrays["embedding/registers"], names["embedding/registers"] = (tokens + places)[:, first:], sources


def _absent_biases(arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, Shape]]:
    """The biases that a family may leave out of all its blocks, and then computes as if they were 0."""
    for end in _MAY_BE_ABSENT:
        kernels = {place: values for place, values in arrays.items() if place.endswith(end.replace("bias", "kernel"))}
        if not any(place.endswith(end) for place in arrays):
            yield from ((place.replace("kernel", "bias"), values.shape[1:]) for place, values in kernels.items())


def _identity(path: Path) -> tuple[Path, str]:
    """(the file, its sha256); of a folder with parts of one (the folder, the sha256 of theirs)."""
    files = tensors.files(path)
    if len(files) == 1:
        return files[0].resolve(), sha256_of(files[0])
    return path.resolve(), hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()
