"""The learning-rate finder, from the command's arguments to its files."""

import csv
import json

import numpy as np
import pytest
from conftest import TINY

from vit_train.config.compose import load_config
from vit_train.errors import ConfigError
from vit_train.rundir.find import all_runs
from vit_train.sweep import command, lr_range
from vit_train.sweep.suggestion import CHOSEN, RULES, Curve, smoothed
from vit_train.training import range_test
from vit_train.training.range_test import Rising, measure


def test_the_rate_grows_by_one_factor_and_the_decay_sees_a_constant_schedule(tensorflow):
    rising = Rising(1e-5, 1e-1, 5)
    assert [float(rising(step)) for step in range(5)] == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1], rel=1e-5)
    assert [float(rising.multiplier(step)) for step in (0, 3, 4)] == [1, 1, 1]


def test_it_leaves_a_curve_a_figure_and_a_suggestion_and_nothing_that_is_a_run(
    tmp_path, capsys, monkeypatch, tensorflow
):
    points = [(1e-3 * 2000 ** (step / 23), abs(step - 18) / 9) for step in range(24)]
    monkeypatch.setattr(range_test, "measure", lambda config, *options: points)
    check_files(tmp_path, capsys)


@pytest.mark.slow  # some 25 steps, each of which Keras takes for an epoch
def test_so_does_a_real_one(tmp_path, capsys, tensorflow):
    check_files(tmp_path, capsys)


def check_files(tmp_path, capsys):
    arguments = [*TINY, "optimizer=sgd", f"outputs={tmp_path}", "sweep=lr_range", "sweep.lr_range=24"]
    assert command.run([*arguments, "sweep.lr_from=1e-3", "sweep.lr_to=2"], None) == 0
    out, err = capsys.readouterr()
    (folder,) = tmp_path.glob("*/*")
    assert out.splitlines()[-1] == str(folder)
    assert {path.name for path in folder.iterdir()} == {"lr_range.csv", "lr_range.json", "lr_range.png"}
    assert all_runs(tmp_path, sweeps=True) == []
    facts = json.loads((folder / "lr_range.json").read_text())
    assert facts["suggestion"] == facts["rules"][CHOSEN]
    assert f"optimizer.learning_rate={facts['suggestion']:.2g}" in err
    rows = list(csv.DictReader((folder / "lr_range.csv").read_text().splitlines()))
    rates = [float(row["learning_rate"]) for row in rows]
    assert np.diff(np.log(rates)) == pytest.approx(np.log(2000) / 23, rel=1e-4)
    assert 1e-3 <= facts["suggestion"] <= 2


@pytest.mark.slow  # 200 steps of a real model
def test_the_suggestion_for_the_quickstart_is_within_a_factor_of_three_of_the_best_of_a_grid(tensorflow):
    points = measure(load_config(["experiment=quickstart"]), 1e-6, 10, 200, lambda *seen: None)
    assert 1e-2 / 3 < RULES[CHOSEN](smoothed(points)) < 3e-2  # docs/sweeps.md has the grid


@pytest.mark.slow
def test_each_loss_is_that_of_its_own_batch(tiny, tensorflow):
    """At a rate that moves nothing, with the images of one batch, every loss is the same but for dropout."""
    config = tiny("train.steps_per_epoch=1", "train.reshuffle=false", "model.dropout=0", "model.head_dropout=0",
                  "augment=none", "optimizer=sgd")  # fmt: skip
    losses = [loss for _, loss in measure(config, 1e-30, 1e-29, 20, lambda *seen: None)]
    assert len(losses) == 20
    assert losses == pytest.approx([losses[0]] * 20, rel=1e-5)


@pytest.mark.slow
def test_multipliers_of_groups_hold_and_it_ends_when_the_loss_diverges(tiny, tensorflow):
    frozen = "optimizer.groups=[{match: ., learning_rate: 1e-30}]"
    options = ["optimizer=sgd", "augment=none", "model.dropout=0", "model.head_dropout=0"]
    still = measure(tiny(*options, frozen), 1e-2, 1e6, 30, lambda *seen: None)
    assert len(still) == 30
    moved = measure(tiny(*options), 1e-2, 1e6, 30, lambda *seen: None)
    assert len(moved) < 30
    assert np.isfinite([loss for _, loss in moved]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=1,2", "sweep.lr_range=200: is one training on this machine, and seed=1,2 varies; give one value"),
        ("sweep.trials=3", "sweep.lr_range=200: is one training on this machine; leave out sweep.trials"),
        ("sweep.launcher=slurm", "sweep.lr_range=200: is one training on this machine; leave out sweep.launcher"),
        ("sweep.resume=auto", "sweep.lr_range=200: is one training on this machine; leave out sweep.resume"),
        ("sweep.lr_to=1e-6", "sweep.lr_to=1e-06: must be at least ten times sweep.lr_from=1e-06; change one"),
        ("sweep.lr_range=5", "sweep.lr_range=5: must be at least 20"),
        ("sweep.lr_from=0", "sweep.lr_from=0: must be above 0"),
        ("model.patch_size=5", "model.patch_size=5: does not divide"),
    ],
)
def test_each_mistake_is_one_sentence_and_leaves_nothing(text, message, tmp_path):
    with pytest.raises(ConfigError) as error:
        command.run([*TINY, f"outputs={tmp_path}", "sweep=lr_range", text], None)
    assert str(error.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_never_fell_suggests_nothing(capsys):
    lr_range._show({}, ["seed=1"], None)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("the loss never fell, so there is no suggestion")


def test_the_figure_has_room_for_the_fall_though_the_loss_diverges():
    rates = np.logspace(-6, 1, 100)
    losses = np.where(rates < 0.1, np.linspace(3, 0, 100), 1e6)
    drawn = lr_range.draw(list(zip(rates, losses, strict=True)), Curve(rates, losses), {"valley": 1e-3})
    low, high = drawn.axes[0].get_ylim()
    assert low < losses.min()
    assert 3 < high < 5
    assert "valley: 0.001" in drawn.axes[0].get_legend().get_texts()[2].get_text()
