"""`vit-train --help TOPIC`, from the config dataclasses and conf/*.yaml. Needs no Hydra, so it answers at once."""

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from vit_train.config.arguments import kinds
from vit_train.config.convert import describe, flattened, hints_of, keys_of, names_of, show, unknown_key, variants
from vit_train.config.groups import groups, read_yaml, text_of
from vit_train.config.schema import Config, SweepConfig
from vit_train.config.usage import first_page
from vit_train.text import one_line

_WORDS = {"minimum": ">=", "above": ">", "maximum": "<=", "below": "<"}


def help_text() -> str:
    """All of it: usage, groups, and every key with its default, type, limits, meaning and unit."""
    codes = "Exit codes: 0 done, 2 config, 3 data, 4 checkpoint, 5 loss not finite, 130 and 143 stopped.\n"
    return "\n".join([first_page(), *(_as_text(*block) + "\n" for block in _blocks()), codes])


def help_markdown() -> str:
    """The same as a page of Markdown, with definition lists: options and keys of each group, the recipes last."""
    parts = ["# All keys", "What `vit-train --help all` says: each key, as KEY=VALUE sets it, with its default."]
    told: set[str] = set()
    for title, keys in _blocks():
        name = title.removesuffix(" (default; type; meaning)").removeprefix("Keys of ")
        parts.append(f"## {name}")
        group = re.split("[=,. ]", name)[0]
        if group not in told:
            parts += _options_in_markdown(group)
        told.add(group)
        parts += [
            f"`{key.name} = {key.default}`\n:   {html.escape(key.meaning.rstrip('.'), quote=False)}.\n"
            f"    *{html.escape(key.values, quote=False)}*"
            for key in keys
        ]
    for group in groups():
        if group not in told:
            parts += [f"## {group}", *_options_in_markdown(group)]
    return "\n\n".join(parts) + "\n"


def help_about(topic: str) -> str:
    """Options and keys of a group, such as `model` or `model=vit`; one key, or the keys with `topic` in their names.

    Raises ConfigError if there are none.
    """
    blocks = list(_blocks())
    title = rf"Keys of {re.escape(topic)}\b"
    found = [_as_text(*block) for block in blocks if re.match(title, block[0])]
    if not found:
        topic = topic.split("=")[0]
        named = [(title, key) for title, keys in blocks for key in keys]
        exact = [each for each in named if each[1].name == topic] or [each for each in named if topic in each[1].name]
        titles = dict.fromkeys(title for title, _ in exact)
        found = [_as_text(title, [key for place, key in exact if place == title]) for title in titles]
    if topic in groups() and len(groups()[topic]) > 1:
        lines = (f"  {option:<17} {about}".rstrip() for option, about in _options(topic))
        found.insert(0, "\n".join([f"Options of {topic}", *lines]))
    if not found:
        raise unknown_key(f"--help {topic}", topic, [*kinds(), *groups()])
    return "\n\n".join(found) + "\n"


@dataclass(frozen=True)
class _Key:
    """A key, its default as it would be typed, its type and limits, and its meaning."""

    name: str
    default: str
    values: str
    meaning: str


def _as_text(title: str, keys: Iterable[_Key]) -> str:
    lines = (f"  {key.name} = {key.default}\n      {key.values}: {key.meaning}" for key in keys)
    return "\n".join([title, *lines])


def _options_in_markdown(group: str) -> list[str]:
    """A list of the options; nothing where there is no choice."""
    if len(groups().get(group, ())) < 2:
        return []
    lines = (f"- `{group}={option}`: {html.escape(about, quote=False)}" for option, about in _options(group))
    return ["\n".join(line.removesuffix(": ") for line in lines)]


def _options(group: str) -> Iterator[tuple[str, str]]:
    """Each option of a group with the first line of its file's comment."""
    for option in groups()[group]:
        lines = text_of(f"{group}/{option}").splitlines()
        comments = [line[2:] for line in lines if line.startswith("# ") and not line.startswith("# @")]
        yield option, one_line(comments[0]) if comments else ""


def _blocks() -> Iterator[tuple[str, list[_Key]]]:
    """A title and keys, for every section and variant."""
    main = read_yaml("config")
    for title, section, prefix, option in _sections(main["defaults"]):
        values = flattened(read_yaml(option), prefix)
        yield f"Keys of {title} (default; type; meaning)", _keys(keys_of(section, prefix), values)
    others = [key for key in keys_of(Config) if "." not in key[0]]
    yield "Other keys", _keys(others, flattened(main))
    own = [key for key in keys_of(SweepConfig, "sweep.") if not key[0].startswith("sweep.launcher.")]
    yield "Keys of sweep, only with -m (default; type; meaning)", _keys(own, flattened(read_yaml("sweep"), "sweep."))
    for section in variants(hints_of(SweepConfig)["launcher"]):
        name = names_of(section)[0]
        values = flattened(read_yaml(f"sweep/launcher/{name}"), "sweep.launcher.")
        title = f"Keys of sweep.launcher={name}, only with -m (default; type; meaning)"
        yield title, _keys(keys_of(section, "sweep.launcher."), values)


def _sections(defaults: list[Any]) -> Iterator[tuple[str, type, str, str]]:
    """Yields (title, dataclass, prefix of its keys, YAML file with their defaults) for every section and variant."""
    chosen = {group: option for entry in defaults if isinstance(entry, dict) for group, option in entry.items()}
    for group, kind in hints_of(Config).items():
        for section in variants(kind):
            names = names_of(section) if len(variants(kind)) > 1 else []
            option = names[0] if names else chosen[group]
            yield f"{group}={option}" if names else group, section, f"{group}.", f"{group}/{option}"


def _keys(keys: Iterable[tuple[str, Any, Any]], defaults: dict[str, Any]) -> list[_Key]:
    found = []
    for name, field, kind in keys:
        limits = "".join(f", {_WORDS[limit]} {show(bound)}" for limit, bound in field.metadata["limits"].items())
        found.append(_Key(name, show(defaults[name]), f"{describe(kind)}{limits}", field.metadata["doc"]))
    return found
