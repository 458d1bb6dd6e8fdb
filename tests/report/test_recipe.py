import shutil

import pytest

from vit_train.config import recipes
from vit_train.config.compose import load_config
from vit_train.config.groups import config_folder
from vit_train.report.recipe import Difference, _values, nearest_recipe


def test_the_defaults_are_themselves():
    assert nearest_recipe(load_config(["outputs=elsewhere", "dataset.root=/x", "figures=false"])) == (None, [])


@pytest.mark.parametrize("name", ["quickstart", "keras_io_2026"])
def test_a_recipe_is_found_by_its_values(name):
    config = load_config([f"experiment={name}", "model.depth=2", "train.early_stopping.patience=3"])
    assert nearest_recipe(config) == (
        name,
        [
            Difference("model.depth", "2", "3" if name == "quickstart" else "8"),
            Difference("train.early_stopping.patience", "3", "null"),
        ],
    )


def test_a_recipe_that_somebody_has_broken_is_passed_over(monkeypatch, tmp_path):
    folder = tmp_path / "conf"
    shutil.copytree(config_folder(), folder)
    (folder / "experiment" / "fast.yaml").write_text("- {a")
    (folder / "experiment" / "strong.yaml").write_text("defaults: [nowhere]")
    (folder / "experiment" / "compact.yaml").write_text("model: {depht: 3}")
    monkeypatch.setattr(recipes, "config_folder", lambda: folder)
    _values.cache_clear()
    assert nearest_recipe(load_config(["experiment=quickstart"])) == ("quickstart", [])
    _values.cache_clear()
