"""Whole tiny runs in this process."""

import csv
import itertools
import json
import os
import re
import resource
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from killing import differences, result_of

from vit_train.errors import CheckpointError, ConfigError, Interrupted, NonFiniteLoss, OutOfMemory
from vit_train.report import writer
from vit_train.run import train
from vit_train.rundir import checkpoint, predictions
from vit_train.rundir.layout import RunDir

pytestmark = pytest.mark.usefixtures("eagerly")


def history(report):
    with (Path(report.run_dir) / "history.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture
def plain(finished):
    """The report of the run that tests share."""
    return writer.read(finished)


def test_a_run_leaves_what_the_contract_says(plain):
    run = Path(plain.run_dir)
    written = ("config.yaml", "environment.json", "train.log", "history.csv", "model.keras", "predictions.csv")
    pages = ("report.json", "report.md", "report.html")
    files = {".lock", "checkpoints", *written, *pages}
    assert {path.name for path in run.iterdir()} == files
    assert (
        (run / "history.csv")
        .read_text()
        .startswith(
            "epoch,step,learning_rate,loss,accuracy,top5_accuracy,val_loss,val_accuracy,val_top5_accuracy,val_balanced_accuracy,seconds,"
            "images_per_second\n"
        )
    )
    values = json.loads((run / "report.json").read_text())
    assert values["training"]["steps"] == 4
    assert values["status"] == "completed"
    assert sum(row["support"] for row in values["per_class"]) == values["split"]["test"]
    weighted = sum(row["accuracy"] * row["support"] for row in values["per_class"]) / values["split"]["test"]
    assert weighted == pytest.approx(values["test"]["accuracy"])
    assert " 2/2 " in (run / "train.log").read_text()


def test_the_best_epoch_is_reported_and_kept(tiny):
    """With a learning rate far too high, later epochs are worse; the model kept scores what the history says."""
    from vit_train import load_model
    from vit_train.data import sources, split

    config = tiny("optimizer.learning_rate=0.5", "train.epochs=4", "train.steps_per_epoch=1")
    report = train(config)
    rows = history(report)
    best = max(rows, key=lambda row: row["val_accuracy"])
    assert report.best_epoch == best["epoch"] < 4
    assert report.validation.accuracy == best["val_accuracy"]
    dataset = sources.load_dataset(config)
    _, validation = split.split_validation(dataset, config.dataset.validation, config.seed)
    model = load_model(f"{report.run_dir}/model.keras")
    predicted = model.predict(validation.images, verbose=0).argmax(1)
    assert np.mean(predicted == validation.labels) == pytest.approx(best["val_accuracy"])
    predicted = model.predict(dataset.test.images, verbose=0).argmax(1)
    assert np.mean(predicted == dataset.test.labels) == pytest.approx(report.test.accuracy)


def test_a_fold_leaves_what_it_says_of_its_images(tiny):
    from vit_train.data import sources, split

    config = tiny("dataset.folds=3", "dataset.fold=1", "train.epochs=1", "train.steps_per_epoch=1")
    report = train(config)
    path = Path(report.run_dir) / "out_of_fold.csv"
    dataset, found, rows = sources.load_dataset(config), predictions.read(path), predictions.read_rows(path)
    assert rows.tolist() == np.flatnonzero(split.fold_of_each(dataset, 3, config.seed) == 1).tolist()
    assert found.labels.tolist() == dataset.train.labels[rows].tolist()
    assert found.right.mean() == pytest.approx(report.validation.accuracy)


@pytest.mark.slow
@pytest.mark.parametrize(("decay", "noted"), [("scaled", True), ("independent", False)])
def test_a_decay_below_the_precision_of_float32_is_noted(tiny, capsys, decay, noted):
    train(tiny("optimizer.weight_decay=1e-5", f"optimizer.decay={decay}"))
    assert ("note: the weight decay takes 1e-08 of a weight per step" in capsys.readouterr().err) == noted


@pytest.mark.slow
def test_the_checkpoint_can_follow_the_loss(tiny):
    report = train(tiny("train.checkpoint.monitor=val_loss", "optimizer.learning_rate=0.5", "train.epochs=4"))
    assert report.best_epoch == min(history(report), key=lambda row: row["val_loss"])["epoch"]


@pytest.mark.slow
def test_early_stopping_ends_a_run_that_does_not_improve(tiny):
    report = train(tiny("train.epochs=9", "train.early_stopping.patience=2", "train.early_stopping.min_delta=1"))
    assert report.training["epochs"] == 3


def test_the_same_config_gives_the_same_run(tiny, plain):
    def figures(report):
        drop = ("seconds", "images_per_second")
        return [{k: v for k, v in row.items() if k not in drop} for row in history(report)]

    assert figures(plain) == figures(train(tiny()))
    assert figures(plain)[:1] != figures(train(tiny("seed=43", "train.epochs=1")))


@pytest.mark.slow
def test_a_finished_run_is_extended_as_if_it_had_been_longer(tiny, plain):
    short = train(tiny("train.epochs=1"))
    train(tiny(f"resume={short.run_dir}", "train.epochs=2"))
    assert differences(result_of(Path(short.run_dir)), result_of(Path(plain.run_dir))) == []


@pytest.mark.slow
def test_frozen_variables_stay_as_they_were(tiny):
    freeze = "optimizer.groups=[{match:embedding,learning_rate:0}]"
    runs = [train(tiny(freeze, f"train.epochs={epochs}")) for epochs in (1, 2)]
    short, long = (checkpoint.load(Path(run.run_dir) / "checkpoints")[0].latest for run in runs)
    same = {name.split("/", 2)[2]: np.array_equal(short[name], long[name]) for name in short if "/kernel" in name}
    assert {name for name, is_same in same.items() if is_same} == {"embedding/projection/kernel"}
    assert len(same) > 5
    log = (Path(runs[0].run_dir) / "train.log").read_text()
    assert re.search(r" embedding +3 +\d+ +0 +0\n", log)


@pytest.mark.slow
def test_placements_train_alike(tiny):
    host, device = (history(train(tiny(f"augment.placement={place}", "model.dropout=0", "model.head_dropout=0")))
                    for place in ("host", "device"))  # fmt: skip
    for a, b in zip(host, device, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-3)
        assert a["val_loss"] == pytest.approx(b["val_loss"], abs=1e-3)


@pytest.mark.slow
def test_the_learning_rate_is_that_of_the_last_step(tiny):
    rows = history(train(tiny("schedule=cosine", "schedule.warmup=2", "optimizer.learning_rate=0.01")))
    assert [row["step"] for row in rows] == [2, 4]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.005, 0.005])


@pytest.mark.slow
def test_overfitting_a_batch_drives_its_loss_down(tiny):
    report = train(tiny("debug=overfit", "train.epochs=30", "train.batch_size=16", "optimizer.learning_rate=0.02",
                        "train.steps_per_epoch=1", "model.projection_dim=32"))  # fmt: skip
    assert history(report)[-1]["loss"] < 0.1


def test_a_loss_that_is_not_finite_ends_the_run(tiny, tmp_path):
    with pytest.raises(
        NonFiniteLoss,
        match=r"^the loss or a gradient is not finite in epoch 1 at step 2, at learning rate 1e\+30",
    ):
        train(tiny("optimizer.learning_rate=1e30", "train.epochs=9"))
    (run,) = tmp_path.glob("*/*")
    report = json.loads((run / "report.json").read_text())
    assert (report["status"], report["best_epoch"], report["training"]["epochs"]) == ("failed", None, 0)
    assert report["error"].startswith("the loss or a gradient is not finite")
    for page in ("report.md", "report.html"):
        assert "This run failed" in (run / page).read_text()


def test_a_model_larger_than_memory_is_one_sentence(tiny, tmp_path):
    """TensorFlow's own error, from weights of 1.3 TB."""
    with pytest.raises(OutOfMemory, match=r"^memory on .* model.head_units=\[10000000000\], or set compute.precision"):
        train(tiny("model.head_units=[10000000000]"))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def after_step(monkeypatch):
    """Does something once, after a chosen step: `after_step(3, action)`."""
    from vit_train.progress import TrainingDisplay

    show, steps = TrainingDisplay.step, itertools.count(1)

    def arrange(step, action):
        def shown(*arguments):
            show(*arguments)
            if next(steps) == step:
                action()

        monkeypatch.setattr(TrainingDisplay, "step", shown)

    return arrange


@pytest.mark.slow
def test_a_run_directory_that_vanishes_is_one_sentence(tiny, tmp_path, after_step):
    after_step(1, lambda: shutil.rmtree(next(tmp_path.glob("*/*"))))
    with pytest.raises(CheckpointError, match=rf"^{tmp_path}/.*/step-0000000001: could not be written \(No such file"):
        train(tiny("train.checkpoint.every=1"))


@pytest.mark.slow
def test_a_quota_that_is_reached_in_a_checkpoint_leaves_the_one_before_it(tiny, plain, tmp_path, after_step):
    """A limit of the system's on the size of files stands for the quota; the run then continues as if it never was."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    after_step(3, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1])))
    try:
        with pytest.raises(CheckpointError, match=r"step-0000000003: could not be written \(File too large\)"):
            train(tiny("train.checkpoint.every=1"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (run,) = tmp_path.glob("*/*")
    assert [path.name for path in sorted(run.glob("checkpoints/*"))] == ["step-0000000001", "step-0000000002"]
    train(tiny(f"resume={run}", "train.checkpoint.every=1"))
    assert writer.read(RunDir(run)).test == plain.test


@pytest.mark.slow
def test_a_signal_that_comes_in_the_last_save_is_not_lost(tiny, tmp_path, monkeypatch):
    save = checkpoint.save

    def signalled(folder, state):
        save(folder, state)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(checkpoint, "save", signalled)
    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        train(tiny("train.epochs=1"))  # which saves nothing before its end
    (run,) = map(RunDir, tmp_path.glob("*/*"))
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-0000000002"]
    assert not run.model.exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dataset.fraction=0.001", "dataset.fraction=0.001: leaves class '0' of digits without an image"),
        ("schedule.warmup=5", "schedule.warmup='5 steps': is longer than the training of 4 steps"),
        ("optimizer.groups=[nothing]", "optimizer.groups=[nothing]: finds no variable"),
        ("compute.backend=torch", "compute.backend=torch:"),
    ],
)
def test_what_cannot_work_creates_nothing(tiny, tmp_path, override, message):
    with pytest.raises(ConfigError) as error:
        train(tiny(override))
    assert str(error.value).startswith(message)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_test_set_is_read_once_at_the_end(tiny, plain, monkeypatch):
    """Training sees a poisoned test set; only the final figures may change."""
    from vit_train.data import sources
    from vit_train.data.images import Dataset, Examples

    whole = sources.load_dataset

    def poisoned(config):
        dataset = whole(config)
        blank = Examples(np.zeros_like(dataset.test.images), dataset.test.labels)
        return Dataset(dataset.name, dataset.train, blank, dataset.class_names)

    monkeypatch.setattr(sources, "load_dataset", poisoned)
    for a, b in zip(history(plain), history(train(tiny())), strict=True):
        assert (a["loss"], a["val_loss"]) == (b["loss"], b["val_loss"])
