"""What a plugin's file calls: decorators that make its functions models, data sets, augmentations or metrics."""

import dataclasses
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

from vit_train.config.augmentation import AugmentConfig
from vit_train.config.convert import convert, describe, hints_of, key
from vit_train.config.dataset import AnyDatasetConfig
from vit_train.config.groups import built_in
from vit_train.config.models import AnyModelConfig
from vit_train.errors import ConfigError
from vit_train.metrics import METRICS, Metric

F = TypeVar("F", bound=Callable[..., Any])

_BASES: dict[str, type] = {"model": AnyModelConfig, "dataset": AnyDatasetConfig, "augment": AugmentConfig}
_PUBLIC = {"model": "ModelKeys", "dataset": "DatasetKeys", "augment": "AugmentKeys"}  # as vit_train calls them
# The values of keys that every option of a group has from the start on, where a file does not give its own.
_USUAL = {"root": None, "fraction": 1.0, "validation": 0.1, "image_size": 32, "flip": False, "rotation": 0.0,
          "zoom": 0.0, "placement": "host"}  # fmt: skip
_registered: ContextVar[list[tuple[str, Any]] | None] = ContextVar("registered", default=None)


@contextmanager
def collected(kinds: list[tuple[str, Any]]) -> Iterator[None]:
    """While entered, what is registered is added to `kinds`, as (group, dataclass) or ("metric", Metric)."""
    token = _registered.set(kinds)
    try:
        yield
    finally:
        _registered.reset(token)


def model(name: str, keys: type) -> Callable[[F], F]:
    """Registers model=NAME with the keys of a frozen dataclass, a subclass of ModelKeys whose fields are made by `key`.

    The function that it decorates gets them and a KerasTensor of normalised images [B, S, S, 3], S being
    `model.image_size`, and returns features [B, F] of any width, from which the logits are made.
    """
    return _registrar("model", name, keys)


def dataset(name: str, keys: type) -> Callable[[F], F]:
    """Registers dataset=NAME with the keys of a frozen dataclass, a subclass of DatasetKeys with fields made by `key`.

    The function that it decorates gets them and returns a Dataset. The images of all its parts have one size.
    """
    return _registrar("dataset", name, keys)


def augment(name: str, keys: type) -> Callable[[F], F]:
    """Registers augment=NAME with the keys of a frozen dataclass, a subclass of AugmentKeys with fields made by `key`.

    The function that it decorates gets them, a training image uint8 [H, W, 3] as a tensor of TensorFlow, and a seed
    int64 [2] for tf.random.stateless_* and tf.image.stateless_*, another one for each (seed, example, epoch). It
    returns an image of that shape, uint8, or float in [0, 255]. What other keys of `augment` ask for comes after.
    """
    return _registrar("augment", name, keys)


def metric(name: str, *, better: Literal["higher", "lower"] = "higher") -> Callable[[F], F]:
    """Registers a metric of the validation images after every epoch, `val_NAME`, and of the test set.

    The function that it decorates gets the number of classes K and returns a keras.metrics.Metric with one number as
    its result. It is updated with one-hot targets float32 [B, K], probabilities float32 [B, K], and weights
    float32 [B]: 0 for what only fills up a batch, 1 for all else.
    """
    _require_name("metric", name, [*(each.column for each in METRICS), "cross_entropy"])
    if better not in ("higher", "lower"):
        raise ConfigError(f"metric={name}: better={better!r} must be 'higher' or 'lower'")

    def register(function: F) -> F:
        own = Metric(column=name, label=name.replace("_", " "), format=".4f", better=better, own=function,
                     parts=("validation", "test"), optional=True)  # fmt: skip
        if (found := _registered.get()) is not None:
            found.append(("metric", own))
        return function

    return register


def _require_name(group: str, name: str, known: Collection[str]) -> None:
    """Raises ConfigError unless it can be a new name of the group, or of a metric."""
    if not re.fullmatch(r"[a-z]\w*", name, re.ASCII):
        raise ConfigError(f"{group}={name}: must be a name of small letters, digits and underscores")
    taken = [each.column if g == "metric" else name_of(each) for g, each in _registered.get() or [] if g == group]
    if name in known or name in taken:
        raise ConfigError(f"{group}={name}: is taken; give it another name")


def _registrar(group: str, name: str, keys: type) -> Callable[[F], F]:
    _require_name(group, name, built_in()[group])
    _require_keys(group, keys)

    def register(function: F) -> F:
        kind = dataclasses.make_dataclass(
            keys.__name__,
            [("name", Literal[name], dataclasses.field(metadata=_metadata_of_name(_BASES[group])))],
            bases=(keys,), frozen=True, kw_only=True, namespace={"own": function, "__module__": keys.__module__},
        )  # fmt: skip
        convert(kind, defaults(kind), f"{group}.")
        if (found := _registered.get()) is not None:
            found.append((group, kind))
        return function

    return register


def _require_keys(group: str, keys: Any) -> None:
    """Raises ConfigError unless it is a dataclass from whose fields keys can be made."""
    base = _BASES[group]
    if not (issubclass(keys, base) and keys.__dataclass_params__.frozen and "__dataclass_fields__" in vars(keys)):
        must = f"must be @dataclass(frozen=True, kw_only=True) and a vit_train.{_PUBLIC[group]}"
        raise ConfigError(f"{keys.__name__}: {must}")
    usual = {field.name for field in dataclasses.fields(base)}
    for field in dataclasses.fields(keys):
        if field.name in usual and "doc" in field.metadata:
            continue
        if "doc" not in field.metadata or field.default is dataclasses.MISSING:
            raise ConfigError(
                f"{keys.__name__}.{field.name}: is no key; write {field.name}: TYPE = vit_train.key('its meaning', "
                "default=VALUE)"
            )
        try:
            describe(hints_of(keys)[field.name])
        except (KeyError, IndexError):
            raise ConfigError(
                f"{keys.__name__}.{field.name}: must be of type int, float, bool, str, Literal[...], tuple[TYPE, ...], "
                "or one of them or None"
            ) from None


def _metadata_of_name(kind: type) -> Any:
    named = [field for field in dataclasses.fields(kind) if field.name == "name"]
    return named[0].metadata if named else key("what varies the images, of a plugin").metadata


def name_of(kind: type) -> str:
    """What follows model= or dataset=."""
    return str(hints_of(kind)["name"].__args__[0])


def defaults(kind: type) -> dict[str, Any]:
    """The values of all keys of a section, as its YAML file would have them."""
    values: dict[str, Any] = {"name": name_of(kind)}
    for field in dataclasses.fields(kind):
        if field.name != "name":
            usual = _USUAL.get(field.name, field.metadata["absent"])
            values[field.name] = usual if field.default is dataclasses.MISSING else field.default
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
