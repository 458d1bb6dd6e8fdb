"""A config.yaml as it was written, by this or another version of the program or by hand -> the values of today's keys.

The file may come from anywhere, so reading it takes bounded time and memory, runs nothing, and fails in one sentence.
"""

import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from vit_train.config.convert import ABSENT, hints_of, names_of, variants
from vit_train.config.schema import Config
from vit_train.console import say_once
from vit_train.errors import ConfigError
from vit_train.files import read_regular
from vit_train.text import one_line

# Of a run directory and of a sweep's folder: it stands in config.yaml, sweep.json and a checkpoint's progress.json,
# which in version 1 said nothing of it. history.csv and predictions.csv tell by their columns. Higher with the first
# change after a release that an older program would misread.
VERSION = 2
_MOST_BYTES = 2**18  # of a file; one that this program writes has some 2,000
_MOST_LEVELS = 20


@dataclass(frozen=True)
class Saved:
    """Plain values, nested by section, with today's names and with what the file's silence on a newer key meant.

    `partial` is what a file says that leaves out keys which every run's has, as it stands there; else it is None.
    `ignored` are the dotted keys of a newer version that this one does not know.
    """

    path: Path
    values: dict[str, Any]
    version: int
    ignored: tuple[str, ...]
    partial: dict[str, Any] | None = None

    @property
    def newer(self) -> bool:
        """Whether a newer version of this program wrote the file."""
        return self.version > VERSION

    def note_if_newer(self) -> None:
        """Says that a newer version wrote the file, and which keys are left out for that."""
        if self.newer:
            left_out = f"; keys that it does not know are left out: {', '.join(self.ignored)}" if self.ignored else ""
            say_once(f"note: {self.path}: is of version {self.version}, this vit-train of {VERSION}{left_out}")


def read(path: Path) -> Saved:
    """What a config.yaml says. Values are as they stand there; `convert` says whether they can be.

    Raises ConfigError, one sentence that begins with the path, if it cannot be read, or is no mapping of names.
    """
    try:
        data = read_regular(path, _MOST_BYTES)
        _require_shallow(data)
        values = yaml.load(data, _Loader)
        if not isinstance(values, dict) or not values:
            raise ValueError("it holds no keys")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read ({reason(error)})") from error
    versioned = "version" in values
    version = values.pop("version", 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ConfigError(f"{path}: version={one_line(str(version))}: must be a whole number from 1 on")
    ignored = tuple(_without_unknown(Config, values)) if version > VERSION else ()
    found = in_todays_keys(Config, values)
    partial = None if versioned or _complete(Config, found) else values
    return Saved(path, found, version, ignored, partial)


def in_todays_keys(section: Any, values: Any) -> Any:
    """The plain values of a section with former names replaced, and absent keys as the schema says what that meant.

    What cannot be told stays as it is, for `convert` to refuse.
    """
    if not isinstance(values, dict):
        return values
    found, hints = dict(values), hints_of(section)
    for field in fields(section):
        for former in field.metadata.get("was", ()):
            if former in found and field.name not in found:
                found[field.name] = found.pop(former)
        if (absent := field.metadata.get("absent", ABSENT)) is not ABSENT:
            found.setdefault(field.name, absent)
        if inner := _variant(hints[field.name], found.get(field.name, {})):
            found[field.name] = in_todays_keys(inner, found.get(field.name, {}))
    return found


def _complete(section: Any, values: dict[str, Any]) -> bool:
    """Whether a section has every key, as far as it can be told which those are."""
    hints = hints_of(section)
    for field in fields(section):
        if field.name not in values:
            return False
        inner, value = _variant(hints[field.name], values[field.name]), values[field.name]
        if inner and not (isinstance(value, dict) and _complete(inner, value)):
            return False
    return True


def _variant(kind: Any, values: Any) -> Any:
    """The dataclass of a section with these values; None if `kind` is no section, or it cannot be told which."""
    options = variants(kind)
    if len(options) < 2:
        return options[0] if options else None
    name = values.get("name", ABSENT) if isinstance(values, dict) else None
    if name is ABSENT:
        keys = {option: {field.name: field for field in fields(option)}.get("name") for option in options}
        usual = (each for each, key in keys.items() if key is None or key.metadata["absent"] is not ABSENT)
        return next(usual, None)
    return next((option for option in options if name in names_of(option)), None)


def _without_unknown(section: Any, values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Removes the keys that a section does not have, and yields their dotted names."""
    hints = hints_of(section)
    known = {name: field.name for field in fields(section) for name in (field.name, *field.metadata.get("was", ()))}
    for name, value in list(values.items()):
        if name not in known:
            del values[name]
            yield prefix + name
        elif isinstance(value, dict) and (inner := _variant(hints[known[name]], value)):
            yield from _without_unknown(inner, value, f"{prefix}{name}.")


def _require_shallow(data: bytes) -> None:
    """Raises ValueError for what no config needs, and what can take all memory or overflow libyaml's stack."""
    depth = 0
    for event in yaml.parse(data, _Loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"{_line(event.start_mark)}: aliases are not taken; write the value itself")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MOST_LEVELS:
            raise ValueError(f"{_line(event.start_mark)}: nested more than {_MOST_LEVELS} levels deep")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # in C, ten times as fast
    """Safe YAML as Hydra reads it: 1e-3 is a number, a date is text, and no key comes twice."""

    yaml_implicit_resolvers: typing.ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
        """The mapping of a node, whose keys are text."""
        seen: set[str] = set()
        for name, _ in node.value:
            line = _line(name.start_mark)
            if name.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                raise ValueError(f"{line}: a key must be text")
            if name.value in seen:
                raise ValueError(f"{line}: {one_line(name.value)} is there twice")
            seen.add(name.value)
        return dict(super().construct_mapping(node, deep))


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*\.?[0-9_]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def reason(error: Exception) -> str:
    """What is wrong, in one line, with the number of the line."""
    if not isinstance(error, yaml.YAMLError):
        return one_line(str(error))
    mark = getattr(error, "problem_mark", None)
    text = getattr(error, "problem", None) or getattr(error, "reason", None) or "is no YAML"
    return f"{_line(mark)}: {one_line(text)}" if mark else one_line(text)


def _line(mark: Any) -> str:
    return f"line {mark.line + 1}"
