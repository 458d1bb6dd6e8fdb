"""What a config is, in few words: the recipe it is nearest to, and the keys in which it differs."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vit_train.config.convert import show, values_of
from vit_train.config.groups import built_in
from vit_train.config.recipes import recipe
from vit_train.config.schema import Config
from vit_train.errors import ConfigError


@dataclass(frozen=True)
class Difference:
    """A key, its value in the config, and that in the recipe, as a user would type them."""

    key: str
    value: str
    usual: str


def nearest_recipe(config: Config) -> tuple[str | None, list[Difference]]:
    """The recipe of conf/experiment with the fewest differences, or None for the defaults, and the differences."""
    recipes: list[str | None] = [None, *built_in()["experiment"]]
    differences = {name: _differences(config, usual) for name in recipes if (usual := _values(name)) is not None}
    name = min(differences, key=lambda name: len(differences[name]))  # the first one, should several be as near
    return name, differences[name]


def _differences(config: Config, usual: dict[str, Any]) -> list[Difference]:
    return [
        Difference(key, show(value), show(usual.get(key)))
        for key, value in values_of(config, "affects_result").items()
        if value != usual.get(key)
    ]


@cache
def _values(name: str | None) -> dict[str, Any] | None:
    """Those of a recipe, or None for one of the user's own that cannot be read, which is no fault of this run."""
    try:
        return values_of(recipe(name))
    except (ConfigError, OSError, OmegaConfBaseException, YAMLError, ValueError, TypeError, AttributeError):
        return None
