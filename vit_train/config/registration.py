"""What a plugin's file calls: the decorators that make its functions a model or a data set, with keys of their own."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

from vit_train.config.convert import convert, describe, hints_of
from vit_train.config.groups import built_in
from vit_train.config.models import AnyModelConfig
from vit_train.config.schema import AnyDatasetConfig
from vit_train.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

_BASES: dict[str, type] = {"model": AnyModelConfig, "dataset": AnyDatasetConfig}
# The values of keys that every model or data set has from the start on, where a file does not give its own.
_USUAL = {"root": None, "fraction": 1.0, "validation": 0.1, "image_size": 32}
_registered: ContextVar[list[tuple[str, type]] | None] = ContextVar("registered", default=None)


@contextmanager
def collected(kinds: list[tuple[str, type]]) -> Iterator[None]:
    """While entered, what is registered is added to `kinds`, as (group, dataclass)."""
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


def _registrar(group: str, name: str, keys: type) -> Callable[[F], F]:
    if not re.fullmatch(r"[a-z]\w*", name, re.ASCII):
        raise ConfigError(f"{group}={name}: must be a name of small letters, digits and underscores")
    taken = _registered.get() or []
    if name in built_in()[group] or any((group, name) == (g, name_of(kind)) for g, kind in taken):
        raise ConfigError(f"{group}={name}: is taken; give it another name")
    _require_keys(group, keys)

    def register(function: F) -> F:
        kind = dataclasses.make_dataclass(
            keys.__name__,
            [("name", Literal[name], dataclasses.field(metadata=_metadata("name", _BASES[group])))],
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
    public = {"model": "ModelKeys", "dataset": "DatasetKeys"}[group]
    if not (issubclass(keys, base) and keys.__dataclass_params__.frozen and "__dataclass_fields__" in vars(keys)):
        raise ConfigError(f"{keys.__name__}: must be @dataclass(frozen=True, kw_only=True) and a vit_train.{public}")
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


def _metadata(name: str, kind: type) -> Any:
    return {field.name: field for field in dataclasses.fields(kind)}[name].metadata


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
