"""Plain values from YAML and the command line -> frozen dataclasses, strictly, once."""

import dataclasses
import difflib
import functools
import math
import operator
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

from vit_train.config.own import ACTIVE, Own
from vit_train.errors import ConfigError
from vit_train.text import is_utf8, one_line

T = TypeVar("T")

_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
_LIMITS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "minimum": ("at least", operator.ge),
    "above": ("above", operator.gt),
    "maximum": ("at most", operator.le),
    "below": ("below", operator.lt),
}


ABSENT = object()  # of a key that every config.yaml has to have


def key(
    doc: str,
    *,
    default: Any = dataclasses.MISSING,
    absent: Any = ABSENT,
    was: str | tuple[str, ...] = (),
    may_change: bool = False,
    affects_result: bool = True,
    fills_memory: bool = False,
    **limits: float,
) -> Any:
    """A config key: its meaning and unit in one line, and the limits of its number (or of each number in a list).

    `limits` are `minimum`, `above`, `maximum` and `below`. A plugin's key has its `default` here, others in conf/.

    What config.yaml files of older versions say: `absent`, a plain value as in YAML, is what it meant that they do not
    have the key; a key that came after a release has it. `was` are former names of the key in the same section.

    What the key does: with `may_change` it may differ when a run is resumed, since it leads further than the run has
    come, or changes results by rounding only. Without `affects_result` it cannot change a result at all, so runs that
    differ in it are alike, and it may change as well. With `fills_memory` a lower value takes less memory.
    """
    properties = {
        "absent": absent,
        "was": (was,) if isinstance(was, str) else was,
        "may_change": may_change or not affects_result,
        "affects_result": affects_result,
        "fills_memory": fills_memory,
    }
    return dataclasses.field(default=default, metadata={"doc": doc, "limits": limits, **properties})


def hints_of(cls: Any) -> dict[str, Any]:
    """The types of the fields of a config dataclass, by name; those that are open take what plugins add, too."""
    return _hints_of(cls, ACTIVE.get())


@functools.cache
def _hints_of(cls: Any, own: Own) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    for section, kind in own.kinds:
        if section in getattr(cls, "open_sections", ()):
            hints[section] = hints[section] | kind
    for name in getattr(cls, "names_of_metrics", ()):
        hints[name] = Literal[(*typing.get_args(hints[name]), *(f"val_{metric.column}" for metric in own.metrics))]
    return hints


@functools.cache
def variants(kind: Any) -> tuple[Any, ...]:
    """The dataclasses that a section of the config may be, told apart by their key `name`; none if it is no section.

    A dataclass that can `parse` a value is a value.
    """
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return tuple(option for option in options if dataclasses.is_dataclass(option) and not hasattr(option, "parse"))


def keys_of(cls: type, prefix: str = "") -> tuple[tuple[str, "dataclasses.Field[Any]", Any], ...]:
    """(dotted key, field, type) of every leaf of a config dataclass, in order of definition.

    A key that several variants of a section have comes once, as the first of them has it.
    """
    return _keys_of(cls, prefix, ACTIVE.get())


@functools.cache
def _keys_of(cls: type, prefix: str, own: Own) -> tuple[tuple[str, "dataclasses.Field[Any]", Any], ...]:
    leaves: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        name, kind = prefix + field.name, hints_of(cls)[field.name]
        if sections := variants(kind):
            for leaf in (leaf for section in sections for leaf in keys_of(section, name + ".")):
                leaves.setdefault(leaf[0], leaf)
        else:
            leaves[name] = name, field, kind
    return tuple(leaves.values())


def values_of(config: Any, having: str | None = None, prefix: str = "") -> dict[str, Any]:
    """The value of every leaf of a config by its dotted key.

    `having` names a property of keys, such as "fills_memory", and leaves out the keys that do not have it.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        name, value = prefix + field.name, getattr(config, field.name)
        kind: Any = type(value)
        if variants(kind):
            values |= values_of(value, having, f"{name}.")
        elif having is None or field.metadata[having]:
            values[name] = value
    return values


def flattened(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values, as of a YAML file, by their dotted keys."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


@functools.cache
def former_names(cls: type) -> dict[str, str]:
    """Every dotted key that was renamed, as it was called, and what it is called today."""
    names: dict[str, str] = {}
    for name, field, _ in keys_of(cls):
        section = name.removesuffix(field.name)
        names |= {section + former: name for former in field.metadata["was"]}
    return names


def names_of(variant: type) -> list[str]:
    """What the key `name` of a variant may be; none for the one variant of a section that has no such key."""
    return list(map(str, typing.get_args(hints_of(variant).get("name"))))


def convert(cls: type[T], values: Any, prefix: str = "") -> T:
    """Builds the config dataclass `cls` from a mapping of plain values.

    Raises ConfigError, one sentence, for an unknown or missing key and for a value of the wrong type or range.
    """
    if not isinstance(values, dict):
        first = keys_of(cls, prefix)[0][0]
        raise ConfigError(f"{prefix[:-1]}={show(values)}: is a section; set one of its keys, such as {first}")
    hints = hints_of(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            name = one_line(prefix + name)
            raise unknown_key(name, name, [prefix + known for known in fields])
    arguments: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in values:
            raise ConfigError(f"{prefix}{name}: is missing; every key needs a value")
        if sections := variants(hints[name]):
            section = sections[0] if len(sections) == 1 else _choose(sections, values[name], f"{prefix}{name}")
            arguments[name] = convert(section, values[name], f"{prefix}{name}.")
        else:
            arguments[name] = _leaf(prefix + name, values[name], hints[name], field.metadata["limits"])
    return cls(**arguments)


def _choose(sections: tuple[Any, ...], values: Any, section: str) -> Any:
    """The variant of a section that the key `name` among its values asks for, and all their keys are of."""
    if not isinstance(values, dict):
        return sections[0]  # any of them; convert refuses the value
    if "name" not in values:
        if nameless := [option for option in sections if not names_of(option)]:
            return nameless[0]
        raise ConfigError(f"{section}.name: is missing; every key needs a value")
    named = {name: option for option in sections for name in names_of(option)}
    name = values["name"]
    if name not in list(named):
        raise ConfigError(f"{section}.name={show(name)}: must be one of {', '.join(named)}{nearest(str(name), named)}")
    keys = {option: [field.name for field in dataclasses.fields(named[option])] for option in named}
    for other in values:
        if other in keys[name]:
            continue
        hint = ", ".join(f"{section}={option}" for option in named if other in keys[option])
        hint = (
            f"; it is one of {hint}" if hint else nearest(f"{section}.{other}", [f"{section}.{k}" for k in keys[name]])
        )
        raise ConfigError(f"{section}.{other}={show(values[other])}: is no key of {section}={name}{hint}; vit-train "
                          "--help all lists all keys")  # fmt: skip
    return named[name]


# What other programs call it.
_KEY_SYNONYMS = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "batch": "batch_size",
    "device": "devices",
    "gpu": "devices",
    "dtype": "precision",
    "workers": "jobs",
}
_VALUE_SYNONYMS = {
    "fp16": "bfloat16",
    "float16": "bfloat16",
    "half": "bfloat16",
    "bf16": "bfloat16",
    "fp32": "float32",
    "cuda": "gpu",
    "tf": "tensorflow",
    "pytorch": "torch",
}


def unknown_key(text: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a key `name`, typed as `text`, that does not exist: names the nearest one that does."""
    return ConfigError(f"{text}: there is no key {name}{nearest_key(name, known)}; vit-train --help all lists all keys")


def nearest_key(name: str, known: Iterable[str]) -> str:
    """'; did you mean X' for a key, of which the section may be missing or wrong."""
    names, last = list(known), name.split(".")[-1]
    last = _KEY_SYNONYMS.get(last, last)
    if inside := [each for each in names if "." in each and each.split(".")[-1] == last][:3]:
        return f"; did you mean {' or '.join(inside)}"
    return nearest(name, names)


def nearest(name: str, known: Iterable[str]) -> str:
    """'; did you mean X', or nothing if no known name is near."""
    names = {each.casefold(): each for each in known}
    wanted = _VALUE_SYNONYMS.get(name.casefold(), name.casefold())
    matches = [wanted] if wanted in names else difflib.get_close_matches(wanted, list(names), n=1, cutoff=0.5)
    return f"; did you mean {names[matches[0]]}" if matches else ""


def _leaf(name: str, value: Any, kind: Any, limits: dict[str, float]) -> Any:
    try:
        converted = _cast(value, kind)
    except ValueError:
        hint = nearest(str(value), _choices(kind))
        raise ConfigError(f"{name}={show(value)}: must be {describe(kind)}{hint}") from None
    for number in converted if isinstance(converted, tuple) else (converted,):
        if isinstance(number, str) and not is_utf8(number):
            raise ConfigError(f"{name}={one_line(number)}: is not UTF-8, as config.yaml is; give it another name")
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if not all(_LIMITS[limit][1](number, bound) for limit, bound in limits.items()):
            wanted = " and ".join(f"{_LIMITS[limit][0]} {show(bound)}" for limit, bound in limits.items())
            raise ConfigError(f"{name}={show(value)}: must be {wanted}")
    return converted


def _cast(value: Any, kind: Any) -> Any:
    """The value as type `kind`; raises ValueError unless it is one already, or a number that is the same one."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value in arguments and not isinstance(value, bool):
            return value
    elif origin in (types.UnionType, typing.Union):
        for option in arguments:
            try:
                return _cast(value, option)
            except ValueError:
                continue
    elif origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(_cast(item, arguments[0]) for item in value)
    elif hasattr(kind, "parse"):
        return kind.parse(value)
    elif kind is float:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    elif type(value) is kind:
        return value
    elif kind is int and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e2 and 32.0
    raise ValueError


def _choices(kind: Any) -> list[str]:
    if typing.get_origin(kind) is Literal:
        return [str(option) for option in typing.get_args(kind)]
    return [choice for option in typing.get_args(kind) for choice in _choices(option)]


def describe(kind: Any) -> str:
    """A type in words: 'a whole number', 'one of host, device', 'a number or null'."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(str(option) for option in arguments)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(describe(option) for option in arguments)
    if origin is tuple:
        item = describe(arguments[0]).removeprefix("a ")
        return f"a list [...] of {item if item.endswith('}') else item + 's'}"
    return str(kind.WORDS) if hasattr(kind, "WORDS") else _TYPE_NAMES[kind]


def show(value: Any) -> str:
    """A value as a user would type it, in one line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(show(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{show(name)}:{show(item)}' for name, item in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else one_line(str(value))
