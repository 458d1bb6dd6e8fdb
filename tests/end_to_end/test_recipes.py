"""Every file of conf/experiment and conf/debug, for one step."""

import json

import pytest

from vit_train.config.compose import load_config
from vit_train.config.groups import groups
from vit_train.run import train

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.mark.slow
@pytest.mark.parametrize("name", groups()["experiment"])
def test_an_experiment_runs_for_one_step(name, tmp_path):
    # On the embedded data set, since the recipe's own may not be at hand, and with a small model.
    size = ["model.image_size=32"] if name == "resnet50v2" else ["model.image_size=24", "model.depth=1"]
    fast = ["debug=fast", "dataset=digits", "figures=false", *size]
    report = train(load_config([f"experiment={name}", *fast, f"outputs={tmp_path}"]))
    assert json.loads((tmp_path / report.run_dir / "report.json").read_text())["training"]["steps"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", groups()["debug"])
def test_a_debug_recipe_runs(name, tmp_path):
    config = load_config(
        ["experiment=quickstart", f"debug={name}", "train.epochs=1", "figures=false", f"outputs={tmp_path}"]
    )
    assert train(config).training["steps"] == 1
