import dataclasses

import pytest
import yaml

from vit_train.config.compose import expand, load_config
from vit_train.config.convert import names_of
from vit_train.config.groups import config_folder, groups
from vit_train.config.launchers import LocalConfig, RayConfig, SlurmConfig
from vit_train.config.schema import SweepConfig
from vit_train.errors import ConfigError
from vit_train.sweep.search import space
from vit_train.sweep.settings import read


def test_settings_and_overrides_are_parted():
    options, overrides = read(["sweep.jobs=2", "seed=1,2", "sweep.retry_failed=true", "+sweep.resume=a/b"])
    given = {"jobs": 2, "resume": "a/b", "retry_failed": True, "trials": None, "prune": None}
    given |= {"lr_range": None, "lr_from": 1e-6, "lr_to": 10.0}
    assert options == SweepConfig(launcher=LocalConfig(name="local"), **given)
    assert overrides == ["seed=1,2"]


def test_a_ready_sweep_has_as_many_folds_as_the_command_says():
    assert read(["sweep=kfold"])[1] == ["dataset.folds=5", "dataset.fold=range(5)"]
    assert read(["sweep=kfold", "dataset.folds=3"])[1] == ["dataset.folds=3", "dataset.fold=range(3)"]
    assert read(["sweep=kfold", "dataset.fold=0,1"])[1] == ["dataset.fold=0,1", "dataset.folds=5"]
    with pytest.raises(ConfigError, match=r"^dataset.folds=2,3: must have one value with this sweep=$"):
        read(["sweep=kfold", "dataset.folds=2,3"])


def test_the_defaults_have_exactly_the_keys_of_their_dataclass():
    values = yaml.safe_load((config_folder() / "sweep.yaml").read_text())
    assert list(values) == [field.name for field in dataclasses.fields(SweepConfig)]
    assert read([])[0] == SweepConfig(**values | {"launcher": LocalConfig(name=values["launcher"])})


@pytest.mark.parametrize("kind", [LocalConfig, SlurmConfig, RayConfig])
def test_so_have_those_of_each_launcher(kind):
    values = yaml.safe_load((config_folder() / f"sweep/launcher/{names_of(kind)[0]}.yaml").read_text())
    assert list(values) == [field.name for field in dataclasses.fields(kind)]


def test_a_launcher_is_chosen_by_name_and_told_by_its_keys():
    keys = ("partition=gpu", "memory=16", "options=[exclusive,'qos=long']")
    options, overrides = read(["sweep.launcher=slurm", *(f"sweep.launcher.{key}" for key in keys), "seed=1,2"])
    slurm = options.launcher
    assert isinstance(slurm, SlurmConfig)
    assert (slurm.partition, slurm.memory, slurm.options) == ("gpu", 16.0, ("exclusive", "qos=long"))
    assert overrides == ["seed=1,2"]
    ray = read(["sweep.launcher=ray", "sweep.launcher.address=10.0.0.1:6379"])[0].launcher
    assert isinstance(ray, RayConfig)
    assert ray.address == "10.0.0.1:6379"


def test_a_ready_search_has_settings_too_which_can_be_given_another_value():
    assert read(["sweep=optuna"])[0].trials == 20
    options, overrides = read(["sweep.trials=3", "sweep=optuna", "model.depth=1,2"])
    assert options.trials == 3
    assert overrides[0] == "model.depth=1,2"
    assert overrides[1].startswith("optimizer.learning_rate=tag(log,interval(")
    assert len(space(overrides)) == len(overrides) == 6


@pytest.mark.parametrize("name", [name for name in groups()["sweep"] if name not in ("optuna", "lr_range")])
def test_each_ready_sweep_is_of_sound_configs(name):
    _, overrides = read([f"sweep={name}", "experiment=quickstart"])
    runs = expand(overrides)
    assert 2 <= len(runs) <= 16
    for run in (runs[0], runs[-1]):
        load_config(run)


def test_what_is_given_replaces_that_of_a_ready_sweep():
    assert read(["model.depth=1,2", "sweep=depth_width"])[1] == ["model.depth=1,2", "model.projection_dim=32,64,128"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sweep.job=2", "sweep.job: there is no key sweep.job; did you mean sweep.jobs"),
        ("sweep.jobs=0", "sweep.jobs=0: must be at least 1"),
        ("sweep.jobs=1,2", "sweep.jobs=1,2: must have one value"),
        (
            "sweep=sed",
            "sweep=sed: must be one of augmentation, depth_width, kfold, learning_rate, lr_range, optuna, patch_size,",
        ),
        ("sweep.launcher=slrum", "sweep.launcher=slrum: must be one of local, ray, slurm; did you mean slurm"),
        (
            "sweep.launcher.time=9",
            "sweep.launcher.time=9: is no key of sweep.launcher=local; it is one of",
        ),
        (
            "hydra/launcher=submitit_slurm",
            "hydra/launcher=submitit_slurm: is not how launchers are chosen here; use sweep.launcher=slurm",
        ),
        ("resume=auto", "resume=auto: cannot be part of a sweep; sweep.resume=DIR continues with a sweep"),
        ("outputs=a,b", "outputs=a,b: cannot be part of a sweep; its runs are in one folder, so set outputs=DIR"),
    ],
)
def test_each_mistake_is_one_sentence(text, message):
    with pytest.raises(ConfigError) as error:
        read([text])
    assert str(error.value).startswith(message)
