"""Every key changes something: a run with another value is another run."""

import csv
import dataclasses
from pathlib import Path

import pytest
from config.test_schema import KEYS

from vit_train.errors import ConfigError
from vit_train.run import train

pytestmark = pytest.mark.usefixtures("eagerly")

# A value other than that of the tiny config for each key, with what must hold for it to be seen.
OTHER = {
    "dataset.root": ["/nowhere"],  # an error with digits
    "dataset.fraction": ["0.3"],
    "dataset.train_fraction": ["0.5"],
    "dataset.imbalance": ["5"],
    "dataset.sampling": ["balanced"],
    "dataset.validation": ["0.3"],
    "dataset.folds": ["4"],
    "dataset.fold": ["1", "dataset.folds=5"],
    "augment.flip": ["false"],
    "augment.rotation": ["0.3"],
    "augment.zoom": ["0.5"],
    "model.image_size": ["16"],
    "model.patch_size": ["2"],
    "model.projection_dim": ["16", "model.key_dim=8"],
    "model.depth": ["2"],
    "model.heads": ["1"],
    "model.key_dim": ["4"],
    "model.mlp_ratio": ["3"],
    "model.pooling": ["average"],
    "model.position_embedding": ["none"],
    "model.head_units": ["[8]"],
    "model.dropout": ["0.3"],
    "model.head_dropout": ["0.2"],
    "model.attention_initializer": ["glorot"],
    "optimizer.learning_rate": ["2e-3"],
    "optimizer.weight_decay": ["1e-2"],
    "optimizer.decay": ["scaled"],
    "optimizer.groups": ["[{match:kernel,decay:0}]"],
    "optimizer.beta_1": ["0.8"],
    "optimizer.beta_2": ["0.9"],
    "optimizer.epsilon": ["0.1"],
    "optimizer.clip_norm": ["1e-3"],
    "optimizer.layer_decay": ["0.5"],
    "optimizer.unfreeze": ["1 epoch"],
    "optimizer.momentum": ["0.5"],
    "optimizer.nesterov": ["false"],
    "schedule.name": ["cosine", "schedule.final=0"],
    "schedule.warmup": ["3"],
    "schedule.initial": ["0.5"],
    "schedule.cooldown": ["1"],
    "schedule.final": ["0.1", "schedule.name=cosine"],
    "train.epochs": ["1"],
    "train.batch_size": ["16"],
    "train.steps_per_epoch": ["1"],
    "train.reshuffle": ["false"],
    "train.ema_decay": ["0.9"],
    "loss.label_smoothing": ["0.1"],
    "loss.class_weights": ["balanced"],
    "loss.logit_adjustment": ["1"],
    "train.early_stopping.monitor": ["val_loss"],
    "train.early_stopping.patience": ["1"],
    "train.early_stopping.min_delta": ["0"],
    "train.checkpoint.monitor": ["val_loss"],
    "compute.precision": ["bfloat16"],
    "compute.kernels": ["keras"],
    "compute.batch_parts": ["2"],
    "seed": ["43"],
}
# What the key must be compared with, where the tiny config would hide its effect.
LONG, STOPPING = "train.epochs=8", "train.early_stopping."
BASE = {
    "optimizer.momentum": ["optimizer=sgd"],
    "optimizer.nesterov": ["optimizer=sgd"],
    "schedule.initial": ["schedule.warmup=3"],
    "schedule.cooldown": ["schedule=trapezoid", "schedule.cooldown=3"],
    "schedule.final": ["schedule.name=cosine", "schedule.final=0"],
    f"{STOPPING}monitor": [LONG, f"{STOPPING}patience=1", "optimizer.learning_rate=0.01"],
    f"{STOPPING}patience": [LONG, f"{STOPPING}patience=null", f"{STOPPING}min_delta=1"],
    f"{STOPPING}min_delta": [LONG, f"{STOPPING}patience=1", f"{STOPPING}min_delta=1", f"{STOPPING}monitor=val_loss"],
    "train.checkpoint.monitor": [LONG, "optimizer.learning_rate=0.05"],
}
# Seen elsewhere: data sets, backends and devices in test_backends.py, placement in test_pipeline.py (it does not change
# a metric), non-finite steps in test_guard.py, run directories in test_run.py, checkpoints in test_kills.py, figures
# in test_story.py, logs in test_loggers.py, weights to start from in models/test_initial.py, models in test_recipes.py
# and test_export.py, variants in test_variants.py.
ELSEWHERE = {
    "dataset.name",
    "model.name",
    "optimizer.name",
    "compute.backend",
    "compute.devices",
    "compute.profile_steps",  # test_profile.py
    "init",
    "plugin",
    "outputs",
    "resume",
    "dataset.max_pixels",
    *(f"dataset.{name}" for name in "channels fit pad_colour".split()),  # test_channels.py, test_image_files.py
    "dataset.cache",  # test_picture_cache.py
    "dataset.exclude",  # test_exclude.py
    "dataset.classes",  # test_classes.py
    "dataset.group",  # test_folds.py
    *(f"dataset.{kind}_column" for kind in ("path", "label", "split")),  # test_table.py
}
ELSEWHERE |= {
    *(f"model.{name}" for name in "initializer stem stem_channels stem_norm mlp mlp_output_activation".split()),
    *(f"model.{name}" for name in "activation drop_path drop_path_mode layer_scale".split()),
    *(f"model.{name}" for name in "qk_norm register_tokens norm_epsilon pre_norm final_norm mean std".split()),
    "train.cache_features",
    "train.accumulate",  # test_accumulate.py
    "train.recompute",  # test_recompute.py
    *(f"head.{name}" for name in "name l2 neighbours temperature".split()),  # test_fitted.py
    "train.checkpoint.every",
    "train.skip_nonfinite_steps",
    "figures",
    "model.export_ternary",
}
ELSEWHERE |= {key for key in KEYS if key.startswith("logging.")}  # report/test_loggers.py
ELSEWHERE |= {"train.low_resolution", "train.low_resolution_epochs"}
ELSEWHERE |= {"evaluate.unknown", "evaluate.false_alarms"}  # runs/test_unknown.py
ELSEWHERE |= {key for key in KEYS if key.startswith("augment.")} - set(OTHER)  # tests/data: policies, mixing


CLOCK = ("seconds", "images_per_second")


def outcome(config):
    """All figures of a run but those of the clock, or the error it ends with."""
    try:
        report = train(config)
    except ConfigError as error:
        return str(error)
    with (Path(report.run_dir) / "history.csv").open(newline="") as file:
        rows = [{name: row[name] for name in row if name not in CLOCK} for row in csv.DictReader(file)]
    return rows, dataclasses.replace(report, run_dir="", training={})


@pytest.fixture(scope="module")
def baselines():
    return {}


def test_the_table_is_complete():
    assert set(OTHER) | ELSEWHERE == set(KEYS)


@pytest.mark.slow
@pytest.mark.parametrize("key", OTHER)
def test_another_value_gives_another_run(key, tiny, baselines):
    base = BASE.get(key, [])
    if tuple(base) not in baselines:
        baselines[tuple(base)] = outcome(tiny(*base))
    value, *more = OTHER[key]
    assert outcome(tiny(*base, *more, f"{key}={value}")) != baselines[tuple(base)]
