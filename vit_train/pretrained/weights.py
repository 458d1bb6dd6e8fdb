"""What a file of weights gives, whoever wrote it."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Weights:
    """The tensors of a file as the variables of our model.

    `arrays` are by the path of the variable, such as "block_0/mlp_norm/gamma", and shaped as it; `tensors` names what
    each was made of in the file, but for `zeros`: biases that are 0 since the file has none of their kind. `skipped`
    are tensors that our model has no use for, with the reason. `sha256` is that of `file`. `class_names` are those of
    the head, None if unknown.
    """

    family: str
    file: Path
    sha256: str
    arrays: dict[str, np.ndarray]
    tensors: dict[str, str]
    skipped: dict[str, str] = field(default_factory=dict)
    class_names: tuple[str, ...] | None = None
    zeros: tuple[str, ...] = ()


def sha256_of(file: Path) -> str:
    """The digest of a file's content; raises OSError if it cannot be read."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
