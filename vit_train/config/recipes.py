"""The recipes of conf/experiment without Hydra, which takes a quarter of a second to put one together."""

from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vit_train.config.convert import convert
from vit_train.config.groups import config_folder
from vit_train.config.own import ACTIVE
from vit_train.config.schema import Config


def recipe(name: str | None) -> Config:
    """What `load_config(["experiment=NAME"])` gives, or without a name no argument; weights that it needs are none.

    It knows of Hydra what the files of conf/ use: defaults of the same group, and options that a recipe overrides.
    Raises ConfigError, an OSError, or an error of OmegaConf or YAML for a file that somebody has broken.
    """
    options, bodies = parts(name)
    return convert(Config, merged(options, [*bodies, OmegaConf.create({"init": None})]))


def parts(name: str | None) -> tuple[dict[str, str], list[DictConfig]]:
    """The option of each group, and what goes over them, in order: of a recipe, or of the defaults."""
    root = _read("config")
    options = {group: option for default in root.pop("defaults") if default != "_self_"
               for group, option in default.items() if option is not None}  # fmt: skip
    bodies = [root]
    if name is not None:
        _take(name, options, bodies)
    return options, bodies


def merged(options: dict[str, str], bodies: list[DictConfig]) -> Any:
    """The plain values of options, and of what goes over them."""
    sections = {group: section(group, option) for group, option in options.items()}
    return OmegaConf.to_container(OmegaConf.merge(sections, *bodies), resolve=True)


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
def section(group: str, option: str) -> DictConfig:
    """What an option says, over what it is based on."""
    body = _read(f"{group}/{option}")
    parents = [section(group, each) for each in body.pop("defaults", ()) if each != "_self_"]
    merged = OmegaConf.merge(*parents, body)
    assert isinstance(merged, DictConfig)
    return merged


def _read(name: str) -> DictConfig:
    files = [folder / f"{name}.yaml" for folder in (config_folder(), ACTIVE.get().folder) if folder is not None]
    found = OmegaConf.load(next((file for file in files if file.is_file()), files[0]))
    assert isinstance(found, DictConfig)
    return found
