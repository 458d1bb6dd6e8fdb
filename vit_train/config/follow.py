"""`init=`: the model's keys follow the weights that training starts from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vit_train.config import saved
from vit_train.config.convert import show
from vit_train.errors import ConfigError

# Keys of a run's model that any weights of a backbone fit: these are as in that run, if the command does not set them,
_USUAL = ("image_size", "head_units")
# and these are about training, or about how new weights start, so they are as the command and its recipe say.
_TRAINING = (
    "dropout", "head_dropout", "drop_path", "drop_path_mode", "attention_initializer", "initializer", "export_ternary",
)  # fmt: skip


def with_model_of(init: str, model: dict[str, Any], chosen: Sequence[str]) -> dict[str, Any]:
    """The section `model` of a config, plain values, with what the weights of `init` need.

    `chosen` are the keys and groups that the command itself sets, such as "model.depth" or "model". Raises ConfigError
    if one of them contradicts the weights, or `init` holds none.
    """
    from vit_train.pretrained import foreign, hub  # NumPy, for the few configs that need it

    path = hub.local(init)
    known, usual = _of_file(init, path, model, chosen) if foreign.is_foreign(path) else _of_run(init)
    if known["name"] != model["name"]:
        raise ConfigError(
            f"init={init}: has the weights of model={known['name']}, not of model={model['name']}; "
            f"set model={known['name']}"
        )
    followed = dict(model)
    for name, value in known.items():
        key = f"model.{name}"
        if (key in chosen or "model" in chosen) and not _alike(name, model.get(name), value, model | known):
            leave = "" if key in chosen else "model=OPTION or "
            raise ConfigError(
                f"{key}={show(model.get(name))}: the weights of init={init} have {show(value)}; leave out {leave}init"
            )
        if key not in chosen:
            followed[name] = value
    return followed | {name: value for name, value in usual.items() if f"model.{name}" not in chosen}


def _alike(name: str, ours: Any, theirs: Any, model: dict[str, Any]) -> bool:
    """Whether two values of a key have weights of the same names and shapes, and compute the same of them."""
    if name == "layer_scale":  # the value is where training once began
        return (ours is None) == (theirs is None)
    if name == "patch_size":  # projections of patches are resized
        return bool(model.get("stem") == "patch")
    if name == "pooling":  # a class token has weights of its own
        return bool((ours == "class_token") == (theirs == "class_token"))
    if name == "key_dim":
        whole = model["projection_dim"] // model["heads"]
        return bool((ours or whole) == (theirs or whole))
    return bool(ours == theirs)


def _of_file(
    init: str, path: Path, model: dict[str, Any], chosen: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what the weights of another library's file need, what they are used to), keys of our Vision Transformer."""
    from vit_train.pretrained import foreign

    file = foreign.look(path)
    known = foreign.model_keys(file, model.get("pooling") if "model.pooling" in chosen else None)
    missing = [name for name in foreign.FACTS if name not in known and f"model.{name}" not in chosen]
    if missing:
        keys = " and ".join(f"model.{name}" for name in missing)
        raise ConfigError(
            f"init={init}: neither its tensors, of {file.family.name}, nor a config.json beside it say {keys}; set "
            f"{'them' if len(missing) > 1 else 'it'}, or bring that file, too"
        )
    usual = {name: known.pop(name) for name in ("image_size", "mean", "std") if name in known}
    return known, usual | {"head_units": []}


def _of_run(init: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what the weights of a run need, what they are used to), keys of its model."""
    path = Path(init)
    file = (path.parent if path.suffix == ".keras" else path) / "config.yaml"
    if not path.exists():
        raise ConfigError(f"init={init}: there is no such file or folder; give a run directory or a file of weights")
    if not file.is_file():
        raise ConfigError(
            f"init={init}: is no run directory or model.keras in one; there is no {file}, which says what the model is"
        )
    model = saved.read(file).values.get("model")
    if not isinstance(model, dict) or "name" not in model:
        raise ConfigError(f"{file}: has no model.name")
    usual = {name: model[name] for name in _USUAL if name in model}
    return {name: value for name, value in model.items() if name not in (*_USUAL, *_TRAINING)}, usual
