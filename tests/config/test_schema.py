import dataclasses
import typing

import pytest
import yaml

from vit_train.config.compose import load_config
from vit_train.config.convert import convert, keys_of, names_of, variants
from vit_train.config.groups import config_folder
from vit_train.config.schema import Config
from vit_train.errors import ConfigError

# Frozen: users' commands and scripts hold these names. A change here is a change in the changelog.
KEYS = """
dataset.name dataset.root dataset.fraction dataset.train_fraction dataset.imbalance dataset.validation
dataset.folds dataset.fold dataset.sampling
dataset.max_pixels dataset.channels dataset.fit dataset.pad_colour
dataset.cache dataset.path_column dataset.label_column dataset.split_column
dataset.classes dataset.group
dataset.exclude
augment.flip augment.rotation augment.zoom augment.shear augment.translate augment.crop_padding augment.crop_scale
augment.crop_ratio augment.source_size augment.policy augment.num_ops augment.magnitude augment.magnitude_std
augment.erase
augment.erase_area augment.erase_ratio augment.repeats augment.mixup augment.cutmix augment.mix_probability
augment.mix_switch augment.mix_off_epochs augment.placement
model.name model.image_size model.mean model.std model.patch_size model.projection_dim model.depth model.mlp_ratio
model.head_units model.dropout model.head_dropout model.heads model.key_dim model.pooling model.position_embedding
model.attention_initializer model.initializer model.stem model.stem_channels model.stem_norm model.mlp
model.mlp_output_activation model.activation model.drop_path model.drop_path_mode model.layer_scale
model.qk_norm model.register_tokens model.pre_norm model.final_norm model.norm_epsilon model.export_ternary
loss.label_smoothing loss.class_weights loss.logit_adjustment
head.name head.l2 head.neighbours head.temperature
optimizer.name optimizer.learning_rate optimizer.weight_decay optimizer.decay optimizer.groups optimizer.layer_decay
optimizer.unfreeze optimizer.clip_norm
optimizer.beta_1 optimizer.beta_2 optimizer.epsilon optimizer.momentum optimizer.nesterov
schedule.name schedule.warmup schedule.initial schedule.cooldown schedule.final
train.epochs train.batch_size train.accumulate train.recompute train.steps_per_epoch train.reshuffle
train.skip_nonfinite_steps train.ema_decay
train.low_resolution train.low_resolution_epochs train.cache_features
train.early_stopping.monitor train.early_stopping.patience train.early_stopping.min_delta train.checkpoint.every
train.checkpoint.monitor
evaluate.unknown evaluate.false_alarms
compute.backend compute.precision compute.devices compute.kernels compute.batch_parts compute.profile_steps
logging.tensorboard logging.mlflow logging.wandb
init plugin seed outputs figures resume
""".split()


def test_the_list_of_keys_is_frozen():
    assert [name for name, _, _ in keys_of(Config)] == KEYS


def test_every_key_has_a_meaning():
    for name, field, _ in keys_of(Config):
        assert field.metadata["doc"], name


def leaves(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


@pytest.mark.parametrize(
    "group", "dataset augment model loss head optimizer schedule train evaluate compute logging".split()
)
def test_each_option_of_a_group_has_exactly_the_keys_of_its_dataclass(group):
    sections = variants(typing.get_type_hints(Config)[group])
    for file in (config_folder() / group).glob("*.yaml"):
        values = yaml.safe_load(file.read_text())
        if "defaults" in values:  # it says only what differs from another option
            values.pop("defaults")
            assert set(leaves(values, f"{group}.")) <= set(KEYS), file
            continue
        (section,) = [section for section in sections if len(sections) == 1 or names_of(section) == [file.stem]]
        wanted = [name for name, _, _ in keys_of(section, f"{group}.")]
        assert list(leaves(values, f"{group}.")) == wanted, file


def test_recipes_set_only_keys_that_exist():
    for file in [*config_folder().glob("experiment/*.yaml"), *config_folder().glob("debug/*.yaml")]:
        values = yaml.safe_load(file.read_text())
        values.pop("defaults", None)
        assert set(leaves(values)) <= set(KEYS), file


def test_the_default_is_the_reference():
    config = load_config()
    assert (config.dataset.name, config.dataset.validation) == ("cifar100", "last")
    assert (config.model.image_size, config.model.patch_size, config.model.depth) == (72, 6, 8)
    assert (config.optimizer.learning_rate, config.optimizer.weight_decay) == (1e-3, 1e-4)
    assert (config.optimizer.decay, config.model.attention_initializer) == ("independent", "glorot_2021")
    assert (config.train.epochs, config.train.batch_size, config.train.early_stopping.patience) == (100, 256, None)


@pytest.mark.parametrize("model", ["vit", "matmul_free", "resnet50v2"])
def test_plain_values_make_the_same_config(model):
    config = load_config(["schedule.warmup='2.5 epochs'", "dataset=digits", f"model={model}"])
    assert config.model.name == model
    assert convert(Config, config.to_dict()) == config


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_config().seed = 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model.patch_size=7"],
            "model.patch_size=7: does not divide model.image_size=72; choose one of 1, 2, 3, 4, 6",
        ),
        (["model.key_dim=null", "model.heads=5"], "model.heads=5: does not divide model.projection_dim=64"),
        (["model.position_embedding=sincos", "model.projection_dim=66"], "model.projection_dim=66: model.position_emb"),
        (["model=matmul_free", "model.patch_size=5"], "model.patch_size=5: does not divide model.image_size=72"),
        (["model=resnet50v2", "model.image_size=24"], "model.image_size=24: must be at least 32"),
        (
            ["model.heads=3", "model=resnet50v2"],
            "model.heads=3: is no key of model=resnet50v2; it is one of model=vit; vit-train --help all lists all keys",
        ),
        (
            ["experiment=quickstart", "model=resnet50v2"],
            "model.patch_size=4: is no key of model=resnet50v2; it is one of model=vit, model=matmul_free; vit-train",
        ),
        (["schedule.warmup='101 epochs'"], "schedule.warmup='101 epochs': is longer than the training of train.epochs"),
        (["schedule.warmup='3 minutes'"], "schedule.warmup='3 minutes': must be in steps (500), epochs ('2 epo"),
        (
            ["schedule=trapezoid", "schedule.cooldown=0"],
            "schedule.cooldown='0 steps': schedule=trapezoid needs one,",
        ),
        (["schedule.cooldown=3"], "schedule.cooldown='3 steps': schedule=constant has none; use schedule=trapezoid"),
        (["train.checkpoint.every='5 %'"], "train.checkpoint.every='5 %': must be in steps (500), epochs ('2 epochs')"),
        (["schedule.final=0.5"], "schedule.final=0.5: schedule=constant stays at 1; use schedule=cosine"),
        (
            ["compute.devices=cluster"],
            "compute.devices=cluster: several processes train one model on JAX only; use compute.backend=jax",
        ),
        (
            ["compute.backend=torch", "compute.devices=all"],
            "compute.devices=all: on PyTorch a model is trained on one device here; use compute.backend=tensorflow or",
        ),
        (["optimizer.groups=['(']"], "optimizer.groups=['(']: is not a regular expression: missing ), unterminated"),
        (
            ["optimizer.groups=[{match:bias,decay:-1}]"],
            "optimizer.groups=[{match:bias,decay:-1}]: must be a list [...] of PATTERN or {match: PATTERN, learning",
        ),
        (
            ["optimizer.momentum=0.5"],
            "optimizer.momentum=0.5: is no key of optimizer=adamw; it is one of optimizer=sgd",
        ),
    ],
)
def test_combinations_that_cannot_work_are_one_sentence(overrides, message):
    with pytest.raises(ConfigError) as error:
        load_config(overrides)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
