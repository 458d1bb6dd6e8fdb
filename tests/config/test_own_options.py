"""Options that a user adds beside those of the package, and runs written as such."""

import os

import pytest

from vit_train import cli
from vit_train.config.compose import expand, load_config
from vit_train.config.convert import values_of
from vit_train.config.groups import CONFIG_DIR, groups
from vit_train.errors import ConfigError
from vit_train.runs.cli import run as vit_runs
from vit_train.runs.recipe import written_as_recipe

RECIPE = (
    "# @package _global_\ndefaults:\n  - override /dataset: digits\n  - override /model: small\ntrain:\n  epochs: 7\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty working directory, and nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CONFIG_DIR, "")
    return tmp_path


def write(folder, name, text):
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_conf_in_the_working_directory_adds_to_every_group(here):
    before = groups()
    write(here, "conf/model/small", "defaults: [vit]\nprojection_dim: 24\n")
    write(here, "conf/experiment/mine", RECIPE)
    assert set(groups()["model"]) == {*before["model"], "small"}
    config = load_config(["experiment=mine", "seed=3"])
    assert (config.model.projection_dim, config.train.epochs, config.seed, config.dataset.name) == (24, 7, 3, "digits")
    assert ["experiment=mine"] in expand(["experiment=glob(*)"])


@pytest.mark.parametrize("name", ["plain", "it's here, x=1 [a]"])
def test_so_does_a_folder_that_is_named_and_processes_inherit_it(here, capsys, name):
    write(here / name, "model/small", "defaults: [vit]\nprojection_dim: 24\n")
    assert cli.run(["model=small", "--config-dir", name, "--cfg", "job"]) == 0
    assert "\n  projection_dim: 24\n" in capsys.readouterr().out
    assert os.environ[CONFIG_DIR] == str(here / name)
    assert cli.run(["--config-dir", "nowhere", "--cfg", "job"]) == 2
    assert capsys.readouterr().err == "vit-train: --config-dir nowhere: is not a folder\n"


def test_a_name_of_the_package_keeps_its_meaning(here):
    before = load_config()
    path = write(here, "conf/experiment/fast", RECIPE)
    for name in ("config", "model/vit", "compute/default", "foreign/option"):  # as of another program's
        write(here, f"conf/{name}", "nothing: of ours\n")
    assert load_config() == before
    assert "foreign" not in groups()
    with pytest.raises(ConfigError, match=rf"^experiment=fast: is built in; {path} needs another name$"):
        load_config(["experiment=fast"])


@pytest.mark.parametrize(
    ("name", "text", "argument", "message"),
    [
        (
            "experiment/mine",
            "# @package _global_\nmodel:\n  depht: 2\n",
            "experiment=mine",
            "3: model.depht=2: is no key",
        ),
        ("model/mine", "defaults: [vit]\ndepth: none at all\n", "model=mine", "2: model.depth=none at all: "),
        ("experiment/mine", "# @package _global_\ntrain: {\n", "experiment=mine", " cannot be read (line 3"),
    ],
)
def test_a_mistake_in_a_file_is_said_with_its_name_and_line(here, name, text, argument, message):
    path = write(here, f"conf/{name}", text)
    with pytest.raises(ConfigError) as caught:
        load_config([argument])
    assert str(caught.value).startswith(f"{path}:{message}")


def test_a_mistake_of_an_argument_is_none_of_the_file(here):
    write(here, "conf/experiment/mine", "# @package _global_\ntrain:\n  epochs: 7\n")
    with pytest.raises(ConfigError, match=r"^train.epochs=-1: "):
        load_config(["experiment=mine", "train.epochs=-1"])


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        pytest.param([], 1, marks=pytest.mark.slow),
        pytest.param(["experiment=fast"], 3, marks=pytest.mark.slow),
        pytest.param(["experiment=compact", "model.projection_dim=96", "seed=3"], 6, marks=pytest.mark.slow),
        (["model.projection_dim=128", "model.key_dim=64"], 3),  # which otherwise follows the width
        pytest.param(["model=resnet50v2", "optimizer=muon", "augment=rand"], 5, marks=pytest.mark.slow),
        pytest.param(
            ["experiment=strong", "optimizer=adamw", "optimizer.learning_rate=1e-5"], 6, marks=pytest.mark.slow
        ),
        (["experiment=probe", "init=a b.npz", "loss.label_smoothing=0.2"], 6),
    ],
)
def test_a_config_as_a_recipe_says_what_differs_and_is_the_same_config(here, arguments, lines):
    config = load_config(arguments, follow=False)
    text = written_as_recipe(config)
    assert text.count("\n") == lines
    write(here, "conf/experiment/mine", f"# @package _global_\n{text}")
    assert values_of(load_config(["experiment=mine"], follow=False), "affects_result") == values_of(
        config, "affects_result"
    )


def test_a_run_is_written_as_a_recipe(here, capsys):
    from vit_train.config.compose import to_yaml

    config = load_config(["dataset=digits", "model.depth=2"])
    write(here, "outputs/2026-01-01/10-00-00.1-digits-vit/config", to_yaml(config))
    assert vit_runs(["recipe", "latest"]) == 0
    write(here, "conf/experiment/mine", capsys.readouterr().out)
    assert load_config(["experiment=mine"]) == config


PARTIAL = "dataset: digits\nmodel:\n  projection_dim: 32\n  heads: 2\ntrain:\n  epochs: 7\n"


def test_a_file_that_says_a_part_goes_over_the_defaults(here):
    path = write(here, "mine", PARTIAL)
    arguments = ["dataset=digits", "model.projection_dim=32", "model.heads=2", "train.epochs=7"]
    assert load_config(file=str(path)) == load_config(arguments)
    config = load_config(["model=resnet50v2", "dataset=cifar10", "train.epochs=3"], str(write(here, "b", "seed: 3\n")))
    assert (config.model.name, config.dataset.name, config.train.epochs, config.seed) == ("resnet50v2", "cifar10", 3, 3)
    config = load_config(["seed=1"], str(write(here, "c", "experiment: quickstart\nseed: 3\ntrain: {epochs: 2}\n")))
    assert config == load_config(["experiment=quickstart", "seed=1", "train.epochs=2"])


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (
            "seed: 3\nmodel:\n  depht: 2\n",
            [],
            "{path}:3: model.depht=2: is no key of model=vit; did you mean model.depth",
        ),
        ("train:\n  epochs: many\n", [], "{path}:2: train.epochs=many: must be a whole number"),
        ("seed: 3\nmodel: vti\n", [], "{path}:2: model=vti: must be one of "),
        ("sede: 3\n", [], "{path}:1: sede: there is no key sede; did you mean seed"),
        ("experiment: probe\n", [], "init: is missing"),
        ("seed: 3\nseed: 4\n", [], "{path}: cannot be read (line 2: seed is there twice)"),
        ("plugin: evil.py\n", [], "{path}: needs code of its own, evil.py, "),
        ("train:\n  epochs: 7\n", ["train.epochs=-1"], "train.epochs=-1: must be at least"),
    ],
)
def test_a_mistake_in_it_is_said_with_its_line(here, text, arguments, message):
    path = write(here, "mine", text)
    with pytest.raises(ConfigError) as caught:
        load_config(arguments, str(path))
    assert str(caught.value).startswith(message.format(path=path))
