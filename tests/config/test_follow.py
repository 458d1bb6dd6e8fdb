"""What init= makes of a config; how weights are taken is in tests/models/test_initial.py."""

from pathlib import Path

import pytest

from vit_train.config.compose import load_config, to_yaml
from vit_train.errors import ConfigError

RUN = Path(__file__).resolve().parents[1] / "golden" / "runs" / "v1" / "finished"  # 8 x 8 pixels, patches of 4, width 8


def run_of(folder, *overrides):
    """A run directory as far as its config."""
    (folder / "config.yaml").write_text(to_yaml(load_config(overrides)))
    return folder


@pytest.mark.parametrize("init", [RUN, RUN / "model.keras"])
def test_the_model_is_that_of_the_run_and_all_else_is_not(init):
    usual, config = load_config(["dataset=digits"]), load_config(["dataset=digits", f"init={init}"])
    model = config.model
    assert (model.patch_size, model.projection_dim, model.depth, model.heads, model.key_dim) == (4, 8, 1, 2, 8)
    assert (model.image_size, model.head_units) == (8, (16,))
    assert (config.train, config.optimizer, config.dataset) == (usual.train, usual.optimizer, usual.dataset)


def test_what_weights_do_not_say_can_be_set():
    more = ["model.image_size=24", "model.head_units=[]", "model.drop_path=0.1", "model.pooling=average"]
    model = load_config([f"init={RUN}", *more]).model
    assert (model.image_size, model.head_units, model.drop_path, model.pooling) == (24, (), 0.1, "average")
    assert model.depth == 1


def test_a_recipe_gives_way_but_keeps_how_it_trains():
    model = load_config(["experiment=quickstart", f"init={RUN}"]).model  # the recipe has 3 blocks of width 64
    assert (model.image_size, model.projection_dim, model.depth, model.head_dropout) == (8, 8, 1, 0.2)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("model.depth=2", r"^model\.depth=2: the weights of init=\S+ have 1; leave out init$"),
        ("model.pooling=class_token", r"^model\.pooling=class_token: the weights of init=\S+ have flatten"),
        ("model.layer_scale=0.1", r"^model\.layer_scale=0\.1: the weights of init=\S+ have null"),
        ("model=vit_tiny", r"^model\.\w+=\S+: the weights of init=\S+ have \S+; leave out model=OPTION or init$"),
        ("model=resnet50v2", r"^init=\S+: has the weights of model=vit, not of model=resnet50v2; set model=vit$"),
    ],
)
def test_a_key_that_contradicts_is_named(setting, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_config([setting, f"init={RUN}"])


def test_what_is_the_same_may_be_set(tmp_path):
    run = run_of(tmp_path, "model.layer_scale=1e-5", "model.projection_dim=64", "model.key_dim=16")
    model = load_config([f"init={run}", "model.key_dim=null", "model.layer_scale=0.1", "model.depth=8"]).model
    assert (model.key_dim, model.layer_scale) == (None, 0.1)


@pytest.mark.parametrize(
    ("name", "sentence"), [("nowhere", "there is no such file or folder"), ("", "is no run directory or model.keras")]
)
def test_what_is_no_run_is_a_sentence(tmp_path, name, sentence):
    with pytest.raises(ConfigError, match=f"^init={tmp_path / name}: {sentence}"):
        load_config([f"init={tmp_path / name}"])


def test_a_saved_config_follows_only_what_is_asked_for_now(tmp_path):
    config = load_config([f"init={RUN}"])
    (tmp_path / "config.yaml").write_text(to_yaml(config).replace(str(RUN), "gone"))
    again = load_config(["seed=1"], str(tmp_path / "config.yaml"))
    assert (again.model, again.init) == (config.model, "gone")
    assert load_config([f"init={RUN}"], str(run_of(tmp_path, "model.depth=3") / "config.yaml")).model.depth == 1


def test_recipes_that_need_weights_ask_for_them():
    for recipe in ("finetune", "probe"):
        with pytest.raises(ConfigError, match=r"^init: is missing, and this recipe starts from trained weights; set"):
            load_config([f"experiment={recipe}"])
        assert load_config([f"experiment={recipe}", f"init={RUN}"]).model.depth == 1
