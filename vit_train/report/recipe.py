"""What a config is, in few words: the recipe it is nearest to, and the keys in which it differs."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from vit_train.config.compose import load_config
from vit_train.config.convert import show, values_of
from vit_train.config.groups import groups
from vit_train.config.schema import Config


@dataclass(frozen=True)
class Difference:
    """A key, its value in the config, and that in the recipe, as a user would type them."""

    key: str
    value: str
    usual: str


def nearest_recipe(config: Config) -> tuple[str | None, list[Difference]]:
    """The recipe of conf/experiment with the fewest differences, or None for the defaults, and the differences."""
    recipes: list[str | None] = [None, *groups()["experiment"]]
    differences = {name: _differences(config, name) for name in recipes}
    name = min(recipes, key=lambda name: len(differences[name]))  # the first one, should several be as near
    return name, differences[name]


def _differences(config: Config, recipe: str | None) -> list[Difference]:
    usual = _recipe(recipe)
    return [
        Difference(key, show(value), show(usual.get(key)))
        for key, value in values_of(config, "affects_result").items()
        if value != usual.get(key)
    ]


@cache
def _recipe(name: str | None) -> dict[str, Any]:
    return values_of(load_config([f"experiment={name}", "init=null"] if name else []))
