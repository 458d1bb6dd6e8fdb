"""Recipes put together without Hydra are those that it makes."""

import pytest

from vit_train.config import recipes
from vit_train.config.compose import load_config
from vit_train.config.groups import groups


@pytest.mark.parametrize("name", [None, *groups()["experiment"]])
def test_each_is_as_hydra_makes_it(name):
    assert recipes.recipe(name) == load_config([f"experiment={name}", "init=null"] if name else [])
