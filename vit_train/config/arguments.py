"""What a user types -> what Hydra's grammar takes: paths as they are, and KEY=VALUE however it is spelled."""

import os
import re
import types
import typing
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from vit_train.config.convert import keys_of
from vit_train.config.groups import groups
from vit_train.config.own import ACTIVE, Own
from vit_train.config.schema import Config, SweepConfig
from vit_train.text import quoted_value

_PATHS = ("init", "outputs", "plugin", "resume", "sweep.resume")  # ~ is the home folder; dataset.root sees to it itself
# What is not taken as it stands, where a key takes text.
_GRAMMAR = re.compile(r"""'([^'\\]|\\.)*'|"([^"\\]|\\.)*"|\[.*\]|\{.*\}|.*\$\{.*|null|""", re.DOTALL | re.IGNORECASE)
_SWEEP = re.compile(r"(choice|range|interval|glob|sort|shuffle|tag|extend_list)\(.*\)", re.DOTALL)
_WORD = re.compile(r"(?!(true|false|null|nan|inf)$)[A-Za-z_./][\w./-]*", re.ASCII | re.IGNORECASE)
_YES_NO = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def kinds() -> dict[str, Any]:
    """The type of every key, also of those of a sweep."""
    return _kinds(ACTIVE.get())


@cache
def _kinds(own: Own) -> dict[str, Any]:
    every = [*keys_of(Config), *keys_of(SweepConfig, "sweep.")]
    return {name: kind for name, _, kind in every}


def understood(arguments: Sequence[str]) -> list[str]:
    """`KEY VALUE`, `KEY = VALUE`, `--KEY=VALUE` and `--KEY VALUE` as KEY=VALUE, wherever KEY is a key or a group."""
    found, rest = list[str](), list(arguments)
    names = kinds().keys() | groups()
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        name = name.removeprefix("--")
        if name not in names:
            found.append(word)
        elif equals:
            found.append(f"{name}={value}")
        elif rest[:1] == ["="] and len(rest) > 1:
            found.append(f"{name}={rest[1]}")
            rest = rest[2:]
        elif rest and not rest[0].startswith("-") and "=" not in rest[0][1:] and rest[0] != "=":
            found.append(f"{name}={rest.pop(0).removeprefix('=')}")
        else:
            found.append(word)
    return found


def as_grammar(text: str, several: bool = False) -> str:
    """KEY=VALUE as Hydra's grammar takes it; what is no such argument stays as it is.

    A key that takes text takes it as it stands, whatever characters are in it, except for quotes around it, a list,
    null, and what refers to another key by ${...}. With `several`, as in a sweep, A,B are two values, if it is not
    the name of a file.
    """
    name, equals, value = text.partition("=")
    kind = kinds().get(name.lstrip("+"))
    if not equals or kind is None:
        return text
    if not _takes(str, kind):
        return f"{name}={_spelled(value, kind)}"
    if _GRAMMAR.fullmatch(value) or (several and _SWEEP.fullmatch(value)):
        return text
    if several and "," in value and not _exists(value):
        if re.search("['\"()]", value):
            return text
        return f"{name}={','.join(map(_as_text, value.split(',')))}"
    if name.lstrip("+") in _PATHS:
        value = os.path.expanduser(value)  # noqa: PTH111, unlike pathlib's it raises nothing
    return f"{name}={_as_text(value)}"


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long a name, no home, a NUL
        return False


def _as_text(value: str) -> str:
    return value if _WORD.fullmatch(value) else quoted_value(value)


def _takes(wanted: type, kind: Any) -> bool:
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return wanted in options


def _spelled(value: str, kind: Any) -> str:
    """None, yes and no as YAML has them, where nothing else can be meant."""
    if value.casefold() == "none" and _takes(type(None), kind):
        return "null"
    return _YES_NO.get(value.casefold(), value) if kind is bool else value


def meant(word: str) -> list[str]:
    """The GROUP=OPTION that a word alone may stand for."""
    return [f"{group}={word}" for group, options in groups().items() if word in options]
