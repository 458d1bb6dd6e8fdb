"""`vit-runs recipe`: what a run did, as a recipe of one's own for conf/experiment."""

import argparse
from typing import Any

from omegaconf import OmegaConf

from vit_train.config.compose import load_config
from vit_train.config.convert import convert, flattened, values_of
from vit_train.config.groups import built_in
from vit_train.config.plugins import own_options
from vit_train.config.recipes import merged, parts, section
from vit_train.config.schema import Config
from vit_train.console import put_lines
from vit_train.errors import ConfigError
from vit_train.rundir.find import find_run
from vit_train.text import as_they_stand, one_line

_NOTHING = object()  # what no config has for a value


def run(options: argparse.Namespace) -> int:
    """Prints it, ready for a file."""
    found = find_run(options.run, options.outputs)
    config = load_config(file=str(found.config))
    name = one_line(found.path.name)
    put_lines(
        f"# @package _global_\n# Trains as {name} did; as conf/experiment/NAME.yaml for vit-train experiment=NAME.\n"
    )
    put_lines(written_as_recipe(config).rstrip() + "\n")
    return 0


def written_as_recipe(config: Config) -> str:
    """YAML that a file of conf/experiment would have to say for a config, as far as that affects the result.

    Of the recipes it is based on the one, and of each group has the option, that leaves the fewest keys to be said.
    """
    wanted = config.to_dict()
    said = list(values_of(config, "affects_result"))
    texts = [text for base in (None, *built_in()["experiment"]) if (text := _written_over(base, wanted, said))]
    return min(texts, key=lambda text: text.count("\n"))  # the first, should several be as short


def _written_over(base: str | None, wanted: dict[str, Any], said: list[str]) -> str | None:
    """What a recipe that is based on another has to say, of the keys `said`; None if that sets keys this one lacks."""
    usual, bodies = parts(base)
    chosen = dict(usual)
    for group in usual.keys() & wanted.keys():
        over = [body[group] for body in bodies if group in body]
        costs = {
            option: _cost(wanted[group], OmegaConf.to_container(OmegaConf.merge(section(group, option), *over)))
            for option in dict.fromkeys((usual[group], *built_in()[group], *own_options(group)))
        }
        chosen[group] = min(costs, key=lambda option: costs[option])  # the first, should several cost as little
        if costs[chosen[group]][0]:
            return None
    body = OmegaConf.create({})
    for _ in range(2):  # a key may follow another that is first set here, as key_dim follows projection_dim
        values = _in_full(merged(chosen, [*bodies, body]))
        for key in said:
            if (value := _at(wanted, key)) != _at(values, key):
                OmegaConf.update(body, key, as_they_stand(value), force_add=True)
    overrides = [{f"override /{group}": option} for group, option in chosen.items() if option != usual[group]]
    defaults = [*([base] if base else []), *overrides, "_self_"]
    return OmegaConf.to_yaml(OmegaConf.merge({"defaults": defaults} if len(defaults) > 1 else {}, body))


def _cost(wanted: Any, found: Any) -> tuple[int, int]:
    """How many keys are too many in a section, which nothing can take back, and how many have another value."""
    ours, theirs = flattened(wanted), flattened(found)
    return len(theirs.keys() - ours.keys()), sum(value != theirs.get(key, _NOTHING) for key, value in ours.items())


def _in_full(values: dict[str, Any]) -> Any:
    """As a config says it, where a file may say it shorter; options that do not go together stay as they are."""
    try:
        return convert(Config, values).to_dict()
    except ConfigError:
        return values


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part, _NOTHING) if isinstance(values, dict) else _NOTHING
    return values
