"""`vit-train --help TOPIC`, from the config dataclasses and conf/*.yaml. Needs no Hydra, so it answers at once."""

import re
from collections.abc import Iterable, Iterator
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
    return "\n".join([first_page(), *("\n".join(block) + "\n" for block in _blocks()), codes])


def help_about(topic: str) -> str:
    """Options and keys of a group, such as `model` or `model=vit`; one key, or the keys with `topic` in their names.

    Raises ConfigError if there are none.
    """
    blocks = list(_blocks())
    title = rf"Keys of {re.escape(topic)}\b"
    found = [block for block in blocks if re.match(title, block[0])]
    if not found:
        topic = topic.split("=")[0]
        keys = [(block[0], *pair) for block in blocks for pair in zip(block[1::2], block[2::2], strict=True)]
        named = [(title, key.split()[0], key, about) for title, key, about in keys]
        exact = [each for each in named if each[1] == topic] or [each for each in named if topic in each[1]]
        titles = dict.fromkeys(title for title, *_ in exact)
        found = [[title, *(line for each in exact if each[0] == title for line in each[2:])] for title in titles]
    if topic in groups() and len(groups()[topic]) > 1:
        found.insert(0, [f"Options of {topic}", *_options(topic)])
    if not found:
        raise unknown_key(f"--help {topic}", topic, [*kinds(), *groups()])
    return "\n\n".join("\n".join(block) for block in found) + "\n"


def _options(group: str) -> Iterator[str]:
    """Each option of a group with the first line of its file's comment."""
    for option in groups()[group]:
        lines = text_of(f"{group}/{option}").splitlines()
        comments = [line[2:] for line in lines if line.startswith("# ") and not line.startswith("# @")]
        yield f"  {option:<17} {one_line(comments[0]) if comments else ''}".rstrip()


def _blocks() -> Iterator[list[str]]:
    """A title and the lines of its keys, two for each, for every section and variant."""
    main = read_yaml("config")
    for title, section, prefix, option in _sections(main["defaults"]):
        values = flattened(read_yaml(option), prefix)
        yield [f"Keys of {title} (default; type; meaning)", *_keys(keys_of(section, prefix), values)]
    others = [key for key in keys_of(Config) if "." not in key[0]]
    yield ["Other keys", *_keys(others, flattened(main))]
    own = [key for key in keys_of(SweepConfig, "sweep.") if not key[0].startswith("sweep.launcher.")]
    yield ["Keys of sweep, only with -m (default; type; meaning)", *_keys(own, flattened(read_yaml("sweep"), "sweep."))]
    for section in variants(hints_of(SweepConfig)["launcher"]):
        name = names_of(section)[0]
        values = flattened(read_yaml(f"sweep/launcher/{name}"), "sweep.launcher.")
        title = f"Keys of sweep.launcher={name}, only with -m (default; type; meaning)"
        yield [title, *_keys(keys_of(section, "sweep.launcher."), values)]


def _sections(defaults: list[Any]) -> Iterator[tuple[str, type, str, str]]:
    """Yields (title, dataclass, prefix of its keys, YAML file with their defaults) for every section and variant."""
    chosen = {group: option for entry in defaults if isinstance(entry, dict) for group, option in entry.items()}
    for group, kind in hints_of(Config).items():
        for section in variants(kind):
            names = names_of(section) if len(variants(kind)) > 1 else []
            option = names[0] if names else chosen[group]
            yield f"{group}={option}" if names else group, section, f"{group}.", f"{group}/{option}"


def _keys(keys: Iterable[tuple[str, Any, Any]], defaults: dict[str, Any]) -> Iterator[str]:
    for name, field, kind in keys:
        limits = "".join(f", {_WORDS[limit]} {show(bound)}" for limit, bound in field.metadata["limits"].items())
        yield f"  {name} = {show(defaults[name])}"
        yield f"      {describe(kind)}{limits}: {field.metadata['doc']}"
