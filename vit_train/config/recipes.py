"""The recipes of conf/experiment without Hydra, which takes a quarter of a second to put one together."""

from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vit_train.config.compose import as_they_stand
from vit_train.config.convert import convert, values_of
from vit_train.config.groups import built_in, config_folder
from vit_train.config.schema import Config
from vit_train.errors import ConfigError


def recipe(name: str | None) -> Config:
    """What `load_config(["experiment=NAME"])` gives, or without a name no argument; weights that it needs are none.

    It knows of Hydra what the files of conf/ use: defaults of the same group, and options that a recipe overrides.
    Raises ConfigError, an OSError, or an error of OmegaConf or YAML for a file that somebody has broken.
    """
    options, bodies = _parts(name)
    return convert(Config, _merged(options, [*bodies, OmegaConf.create({"init": None})]))


def written_as_recipe(config: Config) -> str:
    """YAML that a file of conf/experiment would have to say for a config, as far as that affects the result.

    Of the recipes it is based on the one, and of each group has the option, that leaves the fewest keys to be said.
    """
    wanted = _shortest(config.to_dict())
    said = list(values_of(config, "affects_result"))
    texts = [text for base in (None, *built_in()["experiment"]) if (text := _written_over(base, wanted, said))]
    return min(texts, key=lambda text: text.count("\n"))  # the first, should several be as short


def _written_over(base: str | None, wanted: dict[str, Any], said: list[str]) -> str | None:
    """What a recipe that is based on another has to say, of the keys `said`; None if that sets keys this one lacks."""
    usual, bodies = _parts(base)
    chosen = dict(usual)
    for group in usual.keys() & wanted.keys():
        over = [body[group] for body in bodies if group in body]
        costs = {
            option: _cost(wanted[group], OmegaConf.to_container(OmegaConf.merge(_section(group, option), *over)))
            for option in dict.fromkeys((usual[group], *built_in()[group]))
        }
        chosen[group] = min(costs, key=lambda option: costs[option])  # the first, should several cost as little
        if costs[chosen[group]][0]:
            return None
    body = OmegaConf.create({})
    for _ in range(2):  # a key may follow another that is first set here, as key_dim follows projection_dim
        values = _in_full(_merged(chosen, [*bodies, body]))
        for key in said:
            if (value := _at(wanted, key)) != _at(values, key):
                OmegaConf.update(body, key, as_they_stand(value), force_add=True)
    overrides = [{f"override /{group}": option} for group, option in chosen.items() if option != usual[group]]
    defaults = [*([base] if base else []), *overrides, "_self_"]
    return OmegaConf.to_yaml(OmegaConf.merge({"defaults": defaults} if len(defaults) > 1 else {}, body))


def _cost(wanted: Any, found: Any) -> tuple[int, int]:
    """How many keys are too many in a section, which nothing can take back, and how many have another value."""
    ours, theirs = _leaves(wanted), _leaves(found)
    return len(theirs.keys() - ours.keys()), sum(value != theirs.get(key, _NOTHING) for key, value in ours.items())


def _in_full(values: dict[str, Any]) -> Any:
    """As a config says it, where a file may say it shorter; options that do not go together stay as they are."""
    try:
        return _shortest(convert(Config, values).to_dict())
    except ConfigError:
        return values


def _shortest(value: Any) -> Any:
    """Without what the items of a list, such as groups of an optimizer, do not say."""
    if isinstance(value, dict):
        return {key: _shortest(each) for key, each in value.items()}
    if isinstance(value, list):
        return [{k: v for k, v in each.items() if v is not None} if isinstance(each, dict) else each for each in value]
    return value


def _leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part, _NOTHING) if isinstance(values, dict) else _NOTHING
    return values


def _parts(name: str | None) -> tuple[dict[str, str], list[DictConfig]]:
    """The option of each group, and what goes over them, in order: of a recipe, or of the defaults."""
    root = _read("config")
    options = {group: option for default in root.pop("defaults") if default != "_self_"
               for group, option in default.items() if option is not None}  # fmt: skip
    bodies = [root]
    if name is not None:
        _take(name, options, bodies)
    return options, bodies


def _merged(options: dict[str, str], bodies: list[DictConfig]) -> Any:
    sections = {group: _section(group, option) for group, option in options.items()}
    return OmegaConf.to_container(OmegaConf.merge(sections, *bodies), resolve=True)


_NOTHING = object()  # what no config has for a value


def _take(name: str, options: dict[str, str], bodies: list[DictConfig]) -> None:
    """Adds what a recipe says, after what it is based on."""
    body = _read(f"experiment/{name}")
    for default in body.pop("defaults", ()):
        if default == "_self_":
            continue  # as it stands last
        if isinstance(default, str):
            _take(default, options, bodies)
        else:
            options |= {str(group).removeprefix("override /"): option for group, option in default.items()}
    bodies.append(body)


@cache
def _section(group: str, option: str) -> DictConfig:
    """What an option says, over what it is based on."""
    body = _read(f"{group}/{option}")
    parents = [_section(group, each) for each in body.pop("defaults", ()) if each != "_self_"]
    merged = OmegaConf.merge(*parents, body)
    assert isinstance(merged, DictConfig)
    return merged


def _read(name: str) -> DictConfig:
    found = OmegaConf.load(config_folder() / f"{name}.yaml")
    assert isinstance(found, DictConfig)
    return found
