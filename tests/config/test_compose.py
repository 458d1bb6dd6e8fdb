import pytest

from vit_train.config.compose import expand, load_config, to_yaml
from vit_train.config.saved import VERSION
from vit_train.config.schema import Config
from vit_train.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.depht=3",
            "model.depht=3: there is no key model.depht; did you mean model.depth; vit-train --help all lists",
        ),
        ("+model.depht=3", "+model.depht=3: there is no key model.depht; did you mean model.depth"),
        ("++train.epoch=3", "++train.epoch=3: there is no key train.epoch; did you mean train.epochs"),
        ("depth=3", "depth=3: there is no key depth"),
        ("datset=digits", "datset=digits: there is no key datset; did you mean dataset"),
        ("hydra.run.dir=x", "hydra.run.dir=x: there is no key hydra.run.dir"),
        (
            "dataset=cifar1000",
            (
                "dataset=cifar1000: must be one of cifar10, cifar100, digits, folder, hf, npz, table; "
                "did you mean cifar100"
            ),
        ),
        ("debug=null", "debug=null: must be one of fast, overfit"),
        ("dataset=null", "dataset=null: must be one of cifar10, cifar100, digits, folder, hf, npz, table"),
        (
            "experiment=quick",
            (
                "experiment=quick: must be one of compact, fast, fast_small, finetune, finetune_small, keras_io_2021, "
                "keras_io_2026, keras_io_keras3, "
            ),
        ),
        ("+dataset=[cifar10,digits]", "+dataset=[cifar10,digits]: must be one of"),
        ("cifar100", "'cifar100': is not KEY=VALUE"),
        ("model.depth=[1", "'model.depth=[1': is not KEY=VALUE"),
        ("~model.depth", "~model.depth: keys cannot be moved or removed"),
        ("dataset@x=digits", "dataset@x=digits: keys cannot be moved or removed"),
        ("model.depth=4,8", "model.depth=4,8: asks for several runs; add -m, or write a list as KEY=[A,B]"),
        ("model.depth=range(1,3)", "model.depth=range(1,3): asks for several runs"),
        ("model.depth='3'", "model.depth=3: must be a whole number"),
        ("model.depth=???", "model.depth=???: must be a whole number"),
        ("model.key_dim=${nope}", "model.key_dim=${nope}: cannot be read: Interpolation key 'nope' not found"),
        ("train.early_stopping=3", "train.early_stopping=3: is a section; set one of its keys"),
        ("model={depth: 3}", "model={depth: 3}: must be one of matmul_free, resnet50v2, vit"),
        ("seed=", "seed=: must be a whole number"),
        ("seed=-1", "seed=-1: must be at least 0"),
        ("compute.backend=jaxx", "compute.backend=jaxx: must be one of tensorflow, jax, torch; did you mean jax"),
        ("=3", "=3: there is no key"),
        ("sweep=seeds", "sweep=seeds: is for a sweep; add -m"),
        ("sweep.jobs=2", "sweep.jobs=2: is for a sweep; add -m"),
    ],
)
def test_each_mistake_is_one_sentence(override, message):
    with pytest.raises(ConfigError) as error:
        load_config([override])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_recipe_can_be_overridden():
    config = load_config(["experiment=quickstart", "model.depth=2", "debug=fast"])
    assert (config.dataset.name, config.model.depth, config.train.steps_per_epoch) == ("digits", 2, 1)


def test_an_added_key_that_exists_is_an_override():
    assert load_config(["+model.depth=3"]).model.depth == 3


def test_the_head_width_follows_the_token_width_unless_set():
    assert load_config(["model.projection_dim=32"]).model.key_dim == 32
    assert load_config(["model.projection_dim=32", "model.key_dim=8"]).model.key_dim == 8


def test_the_yaml_of_a_config_is_read_back(tmp_path):
    from omegaconf import OmegaConf

    from vit_train.config.convert import convert

    config = load_config(["schedule.warmup=7", "model.head_units=[]"])
    values = OmegaConf.to_container(OmegaConf.create(to_yaml(config)))
    assert values.pop("version") == VERSION
    assert convert(Config, values) == config


@pytest.mark.parametrize(
    ("sweep", "runs"),
    [
        (["seed=1,2", "model.depth=3"], [["seed=1", "model.depth=3"], ["seed=2", "model.depth=3"]]),
        (["seed=range(3)"], [["seed=0"], ["seed=1"], ["seed=2"]]),
        (["seed=1,2", "model.depth=choice(3,4)"], [[f"seed={s}", f"model.depth={d}"] for s in (1, 2) for d in (3, 4)]),
        (["seed=range(4,0,step=-2)"], [["seed=4"], ["seed=2"]]),
        (["dataset=glob(cifar*)"], [["dataset=cifar10"], ["dataset=cifar100"]]),
        (
            ["experiment=glob(keras_io*,exclude=*2021)"],
            [["experiment=keras_io_2026"], ["experiment=keras_io_keras3"]],
        ),
        (["optimizer.learning_rate=sort(1e-2,1e-3)"], [[f"optimizer.learning_rate={rate}"] for rate in (0.001, 0.01)]),
        (["model.head_units=[8],[8,4]"], [["model.head_units=[8]"], ["model.head_units=[8,4]"]]),
        ([], [[]]),
    ],
)
def test_a_sweep_is_all_combinations(sweep, runs):
    assert expand(sweep) == runs


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        (["seed=range(1e9)"], "seed=range(1e9): has more than the 1,000 values that a sweep can have"),
        (["seed=shuffle(range(1e18))"], "seed=shuffle(range(1e18)): has more than the 1,000 values"),
        (["seed=range(0,1,1e-300)"], "seed=range(0,1,1e-300): has more than the 1,000 values"),
        (["seed=range(999)", "model.depth=1,2"], "seed=range(999) model.depth=1,2: asks for 1,998 runs; a sweep has"),
        (["seed=range(0,5,0)"], "seed=range(0,5,0): cannot be counted through"),
        (["seed=range(nan)"], "seed=range(nan): cannot be counted through"),
        (["seed=interval(0,1)"], "seed=interval(0,1): has no end of values; give a list KEY=A,B, or search it"),
        (["seed=range(3,1)"], "seed=range(3,1): stands for no value at all"),
        (["dataset=glob(x*)"], "dataset=glob(x*): stands for no value at all; there are cifar10, cifar100, digits,"),
        (["seed=glob(*)"], "seed=glob(*): stands for no value at all"),
    ],
)
def test_a_sweep_that_cannot_be_is_one_sentence(sweep, message):
    with pytest.raises(ConfigError) as error:
        expand(sweep)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
