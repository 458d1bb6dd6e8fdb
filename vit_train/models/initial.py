"""`init=`: a network starts from trained weights, and every tensor of theirs is accounted for."""

import hashlib
import re
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vit_train.config.models import ModelConfig, VitConfig
from vit_train.config.schema import Config
from vit_train.errors import CheckpointError
from vit_train.files import is_there
from vit_train.models import saved
from vit_train.models.positions import resampled_patches, resampled_positions
from vit_train.models.preprocessing import network_of
from vit_train.pretrained import foreign, hub
from vit_train.pretrained.weights import Weights, sha256_of
from vit_train.rundir import checkpoint, records
from vit_train.rundir.layout import RunDir
from vit_train.text import some

_HEAD = re.compile(r"(attention_pooling|head_\d+|logits)/")  # variables between the tokens and the classes
_NO_WEIGHT = "seed_generator"  # in the paths of what dropout counts with


@dataclass(frozen=True)
class Account:
    """What became of each tensor of a file, by its name there, and which variables got none, by their paths.

    `resized` and `skipped` say how, and why; `zeros` are variables too, biases that the file has none of.
    """

    init: str
    file: str
    sha256: str
    family: str
    loaded: tuple[str, ...]
    resized: dict[str, str]
    skipped: dict[str, str]
    at_start: tuple[str, ...]
    zeros: tuple[str, ...] = ()

    def sentence(self) -> str:
        """All of it in one line."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        for word, found in (("resized", self.resized), ("skipped", self.skipped)):
            reasons = ", ".join(dict.fromkeys(found.values()))
            parts.append(f"{len(found)} {word}" + (f" ({reasons})" if found else ""))
        head = "a new head" if self.at_start else "the head is theirs, since the classes are"
        if self.zeros:
            parts.append(f"{len(self.zeros)} biases 0, of which the file has none")
        parts.append(f"{len(self.at_start)} variables at their start, {head}")
        return f"init={self.init}: weights of {self.family}: {'; '.join(parts)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for environment.json, with the sentence."""
        return {"summary": self.sentence(), **asdict(self)}


def begin(network: keras.Model, config: Config, class_names: Sequence[str]) -> dict[str, Any] | None:
    """Gives a new network the weights of config.init; what became of them is for environment.json.

    A run that continues has its weights in its checkpoint and needs no file. Without init it is None. Raises
    CheckpointError for a file that is damaged, does not fit, or is another than the run began with.
    """
    if config.init is None:
        return None
    known = _begun(config.resume) if config.resume else None
    if known:
        _require_same(config.init, known)
        if any(RunDir(Path(str(config.resume))).checkpoints.glob("step-*")):
            return known
    weights = _read(config.init, config.model)
    account = assign(network, weights, config.init, None if config.head.fits else class_names)
    if known and known["sha256"] != weights.sha256:
        raise _changed(config.init)
    return account.to_dict()


def _read(init: str, model: ModelConfig) -> Weights:
    """The weights of a run of ours, or those of another library's Vision Transformer."""
    path = hub.local(init)
    if not is_there(path):
        raise CheckpointError(
            f"init={init}: is not there any more, and the run has no checkpoint yet to do without it; bring it back"
        )
    if not foreign.is_foreign(path):
        return read_own(init)
    assert isinstance(model, VitConfig)  # as config.follow has seen to
    return foreign.read(path, model.heads, model.pooling == "class_token")


def _begun(run: str) -> dict[str, Any] | None:
    """What environment.json says of the weights that a run began with; None before there is one."""
    if not is_there(RunDir(Path(run)).environment):
        return None
    found: dict[str, Any] | None = records.read_environment(RunDir(Path(run))).get("init")
    return found


def _require_same(init: str, known: dict[str, Any]) -> None:
    file = Path(known["file"])
    if file.is_file() and sha256_of(file) != known["sha256"]:
        raise _changed(init)


def _changed(init: str) -> CheckpointError:
    return CheckpointError(
        f"init={init}: has other weights than the run began with; bring those back, or start a new run. If the file is "
        "moved away, the run continues without it"
    )


def read_own(init: str) -> Weights:
    """The best weights of a run directory, finished or not, or of its model.keras.

    Raises CheckpointError, one sentence, if there are none that can be read.
    """
    path = Path(init)
    run = RunDir(path if path.is_dir() else path.parent)
    file = run.model if path.is_dir() else path
    if path.is_dir() and not is_there(file):
        return _of_checkpoint(run)
    try:
        model = saved.load(file)
        names: tuple[str, ...] = model.get_layer("class_names").names
        arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in _weights(network_of(model))}
        return Weights("a run", file.resolve(), sha256_of(file), arrays, {name: name for name in arrays}, {}, names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise CheckpointError(f"{file}: cannot be loaded ({reason})") from error


def _of_checkpoint(run: RunDir) -> Weights:
    """Those of the best epoch so far. What is digested is their content: the folder changes with the run."""
    found, _ = checkpoint.load(run.checkpoints)
    if found is None or not found.best:
        raise CheckpointError(f"{run.path}: has no model.keras, nor a checkpoint that has the weights of an epoch")
    arrays = {name.split("/", 2)[2]: array for name, array in found.best.items() if _NO_WEIGHT not in name}
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    names = (records.attempt(records.read_environment, run) or {}).get("class_names")
    tensors = {name: name for name in arrays}
    class_names = None if names is None else tuple(map(str, names))
    return Weights("an unfinished run", run.path.resolve(), digest.hexdigest(), arrays, tensors, {}, class_names)


def _weights(network: keras.Model) -> list[tuple[str, Any]]:
    """The variables of a network with their paths, without the seeds of dropout."""
    return [(variable.path, variable) for variable in network.variables if _NO_WEIGHT not in variable.path]


def assign(network: keras.Model, weights: Weights, init: str, class_names: Sequence[str] | None) -> Account:
    """Puts weights into a network, or raises CheckpointError and leaves it as it was.

    The head, which is all behind the pooling, is taken if it is of the same classes and fits, and else stays new; so it
    does if `class_names` is None, since it is fitted later.
    Positions for another number of patches, and a projection for patches of another size, are resampled.
    """
    variables = dict(_weights(network))
    mean, channels = weights.arrays.get("normalization/mean"), network.input_shape[-1]
    if mean is not None and len(mean) != channels:
        raise CheckpointError(f"{weights.file}: is of images with {len(mean)} channels, and these have {channels}; set "
                              f"dataset.channels={len(mean)}")  # fmt: skip
    heads = {path: array for path, array in weights.arrays.items() if _HEAD.match(path)}
    reason = _reason_for_new_head(heads, variables, weights.class_names, class_names)
    skipped = weights.skipped | {weights.tensors[path]: reason for path in heads if reason}
    arrays = {path: array for path, array in weights.arrays.items() if not (reason and path in heads)}
    # Another library's file has none, so the statistics are those of the config.
    known = {path for path in variables if path.startswith("normalization/")} - weights.arrays.keys()
    wanted = [path for path in variables if not (reason and _HEAD.match(path)) and path not in known]
    _require_complete(weights, set(arrays), wanted)
    values, resized = {}, {}
    for path, array in arrays.items():
        name, shape = weights.tensors.get(path, path), tuple(variables[path].shape)
        if not np.isfinite(array).all():
            raise CheckpointError(f"{weights.file}: {name} holds a value that is not finite")
        if found := _resized(path, array, shape, "embedding/class_token" in weights.arrays):
            array, resized[name] = found
        if array.shape != shape:
            raise CheckpointError(
                f"{weights.file}: {name} is {_by(array.shape)} for {path}, which is {_by(shape)} in this model; see "
                "vit-train --cfg job for its keys"
            )
        values[path] = array
    for path, array in values.items():
        variables[path].assign(array)
    network.get_layer("normalization").finalize_state()
    loaded = dict.fromkeys(weights.tensors[path] for path in values if path not in weights.zeros)
    left = tuple(path for path in variables if path not in values and path not in known)
    fitted = tuple(name for name in loaded if name not in resized)
    source = (init, str(weights.file), weights.sha256, weights.family)
    return Account(*source, fitted, resized, skipped, left, weights.zeros)


def _reason_for_new_head(
    heads: dict[str, np.ndarray], variables: dict[str, Any], theirs: tuple[str, ...] | None, ours: Sequence[str] | None
) -> str:
    """Why the head of the file is not taken; "" if it is."""
    if ours is None:
        return "a head, since one is fitted"
    if theirs is None:
        return "a head of unknown classes"
    if theirs != tuple(ours):
        return "a head of other classes"
    shapes = {path: tuple(variable.shape) for path, variable in variables.items() if _HEAD.match(path)}
    return "" if shapes == {path: array.shape for path, array in heads.items()} else "a head of other shapes"


def _require_complete(weights: Weights, found: set[str], wanted: list[str]) -> None:
    """Raises CheckpointError unless the file has a tensor for each variable, and a variable for each tensor."""
    absent = [path for path in wanted if path not in found]
    unused = [weights.tensors.get(path, path) for path in found - set(wanted)]
    if absent or unused:
        parts = [f"{len(absent)} variables of this model have no tensor in it: {some(absent)}"] if absent else []
        if unused:
            parts.append(f"{len(unused)} of its tensors have no place in this model: {some(sorted(unused))}")
        raise CheckpointError(f"{weights.file}: {'; '.join(parts)}; see vit-train --cfg job for the model's keys")


def _resized(path: str, array: np.ndarray, shape: tuple[int, ...], prefix: int) -> tuple[np.ndarray, str] | None:
    """A table of positions, with `prefix` rows that are no patch's, or a patch projection for another size, and how.

    None if it is neither, or is of no square.
    """
    resize = {
        "embedding/positions": lambda: resampled_positions(array, shape[0], prefix),
        "embedding/projection/kernel": lambda: resampled_patches(array, shape[0]),
    }.get(path)
    if array.shape == shape or resize is None or array.ndim != 2 or array.shape[1] != shape[1]:
        return None
    return resize()


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
