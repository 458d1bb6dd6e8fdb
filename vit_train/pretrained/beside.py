"""What no tensor says of a Vision Transformer, from the JSON that libraries keep beside its file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vit_train.errors import CheckpointError
from vit_train.files import is_there, read_json
from vit_train.pretrained.families import (
    KERAS_HUB,
    OPEN_CLIP,
    TIMM,
    TIMM_DINOV3,
    TRANSFORMERS,
    TRANSFORMERS_CLIP,
    TRANSFORMERS_DINOV3,
    Family,
)

Facts = dict[str, Any]  # keys of our model, plain values
_MOST = 2**20  # bytes

# timm's models have heads of 64, but for these widths and architectures; tests/pretrained/test_beside.py asks timm.
_TIMM_HEADS = {1152: 16, 1280: 16, 1408: 16, 1536: 16, 1664: 16}
_TIMM_EXCEPTIONS = {"vit_base_patch16_gap_224": 16, "test_vit": 2, "test_vit2": 2, "test_vit3": 3}
_TIMM_TANH = r"vit_(base_patch32|large_patch16|so400m_patch16|giantopt_patch16)_siglip(_gap)?_\d+"
_TIMM_NOT_TANH = r"vit_large_patch16_siglip(_gap)?_(256|384)"
_TIMM_OTHER_BLOCK = r".*_rpn_\d+"  # normalises behind a branch, with tensors of the same names

# Of transformers' configs: what they leave out if it is as usual, by "model_type".
_VIT: Facts = {"num_attention_heads": 12, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
_DINO = _VIT | {"layer_norm_eps": 1e-6}
_CLIP = _VIT | {"layer_norm_eps": 1e-5, "hidden_act": "quick_gelu"}
_SIGLIP = _VIT | {"layer_norm_eps": 1e-6, "hidden_act": "gelu_pytorch_tanh"}
_USUAL = {
    "vit": _VIT, "deit": _VIT, "vit_mae": _VIT, "dinov2": _DINO, "dinov2_with_registers": _DINO,
    "clip": _CLIP, "clip_vision_model": _CLIP, "siglip": _SIGLIP, "siglip_vision_model": _SIGLIP,
}  # fmt: skip
_ACTIVATIONS = {
    "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh", "gelu_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
}  # fmt: skip


def facts(path: Path, family: Family, width: int) -> Facts:
    """Keys of the model whose tokens are of `width`, as far as files beside its tensors tell: none may be there.

    Raises CheckpointError if they are damaged, or are of another model.
    """
    name, read = _READERS.get(family.name, ("", None))
    file = (path if path.is_dir() else path.parent) / name
    if read is None or not is_there(file):
        return {}
    try:
        return read(_mapping(read_json(file, _MOST)), width, file.parent)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{file}: cannot be used ({error}); mend it, or take it away and set keys") from error


def _timm(found: Facts, width: int, folder: Path) -> Facts:
    name, arguments = str(found.get("architecture", "")), _mapping(found.get("model_args") or {})
    _require_width(found.get("num_features", width), width)
    if re.fullmatch(_TIMM_OTHER_BLOCK, name):
        raise ValueError(f"the blocks of {name} are not those of a Vision Transformer of ours")
    heads = arguments.get("num_heads") or _TIMM_EXCEPTIONS.get(name) or _TIMM_HEADS.get(width, width // 64)
    tanh = re.fullmatch(_TIMM_TANH, name) and not re.fullmatch(_TIMM_NOT_TANH, name)
    clip = "_clip_" in name or name.startswith("beit3_")
    activation = "quick_gelu" if "quickgelu" in name else "gelu_tanh" if tanh else "gelu"
    pretrained = _mapping(found.get("pretrained_cfg") or {})
    return {
        "heads": heads,
        "norm_epsilon": 1e-5 if clip else 1e-6,
        "activation": _ACTIVATIONS[arguments["act_layer"]] if arguments.get("act_layer") else activation,
        **({"pooling": "average"} if found.get("global_pool") in ("avg", "map") else {}),
        **_statistics(pretrained.get("mean"), pretrained.get("std")),
    }


def _timm_dinov3(found: Facts, width: int, folder: Path) -> Facts:
    name, arguments = str(found.get("architecture", "")), _mapping(found.get("model_args") or {})
    _require_width(found.get("num_features", width), width)
    if "_dinov3" not in name:
        raise ValueError(f"{name} has no table of positions and is not DINOv3, whose rotary ones are ours")
    pretrained = _mapping(found.get("pretrained_cfg") or {})
    size = arguments.get("img_size") or list(pretrained.get("input_size") or [256])[-1]
    return {
        "heads": arguments.get("num_heads") or {4096: 32}.get(width, width // 64),
        **({"pooling": "average"} if found.get("global_pool") == "avg" else {}),
        **_dinov3(size),
        **_statistics(pretrained.get("mean"), pretrained.get("std")),
    }


def _transformers_dinov3(found: Facts, width: int, folder: Path) -> Facts:
    _require_width(found.get("hidden_size", width), width)
    usual: Facts = {"rope_theta": 100.0, "layer_norm_eps": 1e-5, "num_channels": 3}
    gated = found.get("use_gated_mlp", False)
    for name, value in {**usual, "hidden_act": "silu" if gated else "gelu"}.items():
        if found.get(name, value) != value:
            raise ValueError(f"its {name} is {found[name]}, and {value} is what is taken")
    heads = found.get("num_attention_heads", 6)
    return {"heads": heads, **_dinov3(found.get("image_size", 224)), **_of_processor(folder)}


def _dinov3(size: int) -> Facts:
    """What all DINOv3 have (arXiv 2508.10104); a gated MLP has no activation besides."""
    return {"position_embedding": "rope", "norm_epsilon": 1e-5, "activation": "gelu", "image_size": size}


def _transformers(found: Facts, width: int, folder: Path) -> Facts:
    usual = _USUAL.get(str(found.get("model_type")), {})
    vision = usual | _mapping(found.get("vision_config") or found)
    _require_width(vision.get("hidden_size", width), width)
    activation = vision.get("hidden_act")
    if activation is not None and activation not in _ACTIVATIONS:
        raise ValueError(f"its hidden_act is {activation}; known are {', '.join(_ACTIVATIONS)}")
    known = {
        "heads": vision.get("num_attention_heads"),
        "norm_epsilon": vision.get("layer_norm_eps"),
        "activation": _ACTIVATIONS.get(str(activation)),
    }
    return {name: value for name, value in known.items() if value is not None} | _of_processor(folder)


def _of_processor(folder: Path) -> Facts:
    """Mean and standard deviation from preprocessor_config.json, if it is there."""
    if not is_there(folder / "preprocessor_config.json"):
        return {}
    found = _mapping(read_json(folder / "preprocessor_config.json", _MOST))
    if abs(found.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-3 or not found.get("do_normalize", True):
        raise ValueError("preprocessor_config.json brings pixels to another scale than 0 to 1, or leaves them so")
    return _statistics(found.get("image_mean"), found.get("image_std"))


def _open_clip(found: Facts, width: int, folder: Path) -> Facts:
    model, pixels = _mapping(found.get("model_cfg") or {}), _mapping(found.get("preprocess_cfg") or {})
    vision = _mapping(model.get("vision_cfg") or {})
    _require_width(vision.get("width", width), width)
    return {
        "heads": width // vision.get("head_width", 64),
        "activation": "quick_gelu" if model.get("quick_gelu") else "gelu",
        **_statistics(pixels.get("mean"), pixels.get("std")),
    }


def _keras_hub(found: Facts, width: int, folder: Path) -> Facts:
    config = _mapping(found.get("config") or {})
    if found.get("class_name") != "ViTBackbone":
        raise ValueError(f"it is of {found.get('class_name')}, and ViTBackbone is what is taken")
    _require_width(config.get("hidden_dim", width), width)
    known = {"heads": config.get("num_heads"), "norm_epsilon": config.get("layer_norm_epsilon")}
    known = {name: value for name, value in known.items() if value is not None}
    return known | _of_converter(folder)


def _of_converter(folder: Path) -> Facts:
    """Mean and standard deviation from preprocessor.json, if it is there, with which x becomes x * scale + offset."""
    if not is_there(folder / "preprocessor.json"):
        return {}
    found = _mapping(_mapping(read_json(folder / "preprocessor.json", _MOST)).get("config") or {})
    pixels = _mapping(_mapping(found.get("image_converter") or {}).get("config") or {})
    scale, offset = (_channels(pixels.get(name), usual) for name, usual in (("scale", 1.0), ("offset", 0.0)))
    if min(scale) <= 0:
        raise ValueError("preprocessor.json has a scale that is not above 0")
    std = [1 / (255 * each) for each in scale]
    return _statistics([0.0 - first * second for first, second in zip(offset, std, strict=True)], std)


def _channels(value: Any, usual: float) -> list[float]:
    """One number for each of three channels."""
    found = list(value) if isinstance(value, list) else [usual if value is None else value] * 3
    if len(found) != 3 or not all(isinstance(each, int | float) for each in found):
        raise ValueError("preprocessor.json has a scale or an offset that is not of three channels")
    return [float(each) for each in found]


def _statistics(mean: Any, std: Any) -> Facts:
    return {} if mean is None or std is None else {"mean": list(mean), "std": list(std)}


def _mapping(value: Any) -> Facts:
    if not isinstance(value, dict):
        raise TypeError("it has something else where names and values should be")
    return value


def _require_width(said: Any, width: int) -> None:
    if said != width:
        raise ValueError(f"it is of a model of width {said}, and the tensors are of width {width}")


_READERS: dict[str, tuple[str, Callable[[Facts, int, Path], Facts]]] = {
    TIMM.name: ("config.json", _timm),
    TIMM_DINOV3.name: ("config.json", _timm_dinov3),
    TRANSFORMERS_DINOV3.name: ("config.json", _transformers_dinov3),
    TRANSFORMERS.name: ("config.json", _transformers),
    TRANSFORMERS_CLIP.name: ("config.json", _transformers),
    KERAS_HUB.name: ("config.json", _keras_hub),
    OPEN_CLIP.name: ("open_clip_config.json", _open_clip),
}
