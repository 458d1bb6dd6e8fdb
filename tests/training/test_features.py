"""Training on features that are computed once is training on images, of which it skips what cannot change."""

import csv
import errno
import os
from pathlib import Path

import numpy as np
import pytest

from vit_train.data import feature_cache
from vit_train.errors import ConfigError
from vit_train.rundir.layout import RunDir
from vit_train.runs.cli import run

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache of features for each test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "vit-train" / "features"


PROBE = ("augment=none", "model.dropout=0", "optimizer.groups=[{match:'^(?!head|logits)',learning_rate:0}]")
LAST_BLOCK = ("augment=none", "model.dropout=0", "optimizer.groups=[{match:'embedding|block_0',learning_rate:0}]")
CACHED = "train.cache_features=true"
CLOCK = ("seconds", "images_per_second")


def trained(config):
    """(rows of history.csv without the clock, the probabilities of predictions.csv)."""
    from vit_train.run import train

    run = RunDir(Path(train(config).run_dir))
    return figures(run)


def begun(config):
    """The features of a run before its first step, with weights as its process draws them."""
    from vit_train.machine import backend
    from vit_train.training.prepare import prepare

    backend.configure(config.compute, config.seed)
    return prepare(config).cached


def figures(run):
    rows = [
        [float(value) for name, value in row.items() if name not in CLOCK]
        for row in csv.DictReader(run.history.read_text().splitlines())
    ]
    first = [float(row["top1_probability"]) for row in csv.DictReader(run.predictions.read_text().splitlines())]
    return np.array(rows), np.array(first)


@pytest.mark.parametrize(
    "keys",
    [
        (*LAST_BLOCK, "model.depth=2", "model.head_dropout=0.3", "train.ema_decay=0.9", "train.steps_per_epoch=1"),
        pytest.param(PROBE, marks=pytest.mark.slow),
    ],
)
def test_it_is_training_on_images(tiny, keys):
    rows, predictions = trained(tiny(*keys))
    cached_rows, cached_predictions = trained(tiny(*keys, CACHED))
    np.testing.assert_allclose(cached_rows, rows, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cached_predictions, predictions, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_stopped_run_continues_exactly(tiny, stopped, tmp_path):
    from vit_train.run import train
    from vit_train.rundir import resume

    expected = trained(tiny(*PROBE, CACHED, f"outputs={tmp_path}/whole"))
    run = stopped(tiny(*PROBE, CACHED))
    train(resume.load([f"resume={run.path}"]))
    for found, wanted in zip(figures(run), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (("augment.flip=true",), "images that are varied have other features in each epoch; use augment=none$"),
        (("compute.devices=all",), r"computed on one device; use compute\.devices=auto with it$"),
        (("augment.mixup=0.2",), "images that are varied have other features"),
        (("model.pooling=average", "train.low_resolution=4", "train.low_resolution_epochs=1"), "features of one size$"),
    ],
)
def test_what_varies_images_is_refused(tiny, keys, sentence):
    with pytest.raises(ConfigError, match=sentence):
        tiny(*PROBE, CACHED, *keys)


def test_nothing_to_compute_once_is_refused_and_leaves_nothing(tiny, tmp_path):
    from vit_train.run import train

    with pytest.raises(
        ConfigError, match=r"train\.cache_features=true: embedding is trained, and nothing comes before it"
    ):
        train(tiny("augment=none", CACHED))
    assert not list(tmp_path.iterdir())


def test_features_that_do_not_fit_are_refused(tiny, monkeypatch):
    from vit_train.training import features
    from vit_train.training.prepare import prepare

    monkeypatch.setattr(features, "_MOST_BYTES", 1000)
    with pytest.raises(
        ConfigError, match=r"features of 287 images would take 0 GB in front of pooled_dropout; freeze more"
    ):
        prepare(tiny(*PROBE, CACHED))


@pytest.mark.slow
def test_the_next_run_takes_the_features_of_the_one_before(tiny, cache, capsys):
    """Also one that ends earlier and is extended; one with another head; and none from a damaged file."""
    from vit_train.run import train

    expected = trained(tiny(*PROBE, CACHED))
    (file,) = cache.iterdir()
    assert "features of 32 numbers are computed" in capsys.readouterr().err
    short = train(tiny(*PROBE, CACHED, "train.epochs=1"))
    found = trained(tiny(f"resume={short.run_dir}", *PROBE, CACHED, "train.epochs=2"))
    assert capsys.readouterr().err.count("are those of an earlier run") == 2
    for ours, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, wanted)

    def features(*keys):
        cached = begun(tiny(*PROBE, CACHED, *keys))
        cached.compute(lambda: None)
        return [array.numpy() for array, _ in cached.arrays], capsys.readouterr().err

    kept, said = features("model.head_units=[]", "optimizer.learning_rate=1e-2")
    assert "are those of an earlier run" in said
    assert list(cache.iterdir()) == [file]
    file.write_bytes(file.read_bytes()[:-100])
    anew, said = features()
    assert "numbers are computed" in said
    for ours, wanted in zip(anew, kept, strict=True):
        np.testing.assert_array_equal(ours, wanted)


def test_other_images_or_another_network_have_features_of_their_own(tiny):
    others = ("seed=1", "dataset.fraction=0.3", "dataset.validation=0.3", "model.norm_epsilon=1e-3")
    keys = [begun(tiny(*PROBE, CACHED, *key))._key() for key in ((), *([key] for key in others))]
    assert len(set(keys)) == len(keys)
    assert begun(tiny(*PROBE, CACHED))._key() == keys[0]


def test_the_oldest_go_beyond_the_limit_and_a_full_disk_is_a_note(cache, monkeypatch, capsys):
    parts = [np.zeros((100, 10), "float32")] * 2
    monkeypatch.setattr(feature_cache, "LIMIT", 20_000)
    for number, name in enumerate("abc"):
        feature_cache.write(name, parts)
        os.utime(cache / f"{name}.npz", (number, number))
    assert feature_cache.read("b") is not None  # and is the newest then
    feature_cache.write("d", parts)
    assert sorted(path.stem for path in cache.iterdir()) == ["b", "d"]

    def full(*arguments, **arrays):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    feature_cache.write("e", parts)
    assert (
        "note: the features are not kept for later runs ([Errno 28] No space left on device)" in capsys.readouterr().err
    )
    assert sorted(path.stem for path in cache.iterdir()) == ["b", "d"]


def test_the_command_lists_and_clears(cache, capsys):
    feature_cache.write("abc", [np.zeros((100, 10), "float32")] * 2)
    assert run(["cache"]) == 0
    out = capsys.readouterr().out
    assert "abc.npz" in out
    assert out.endswith(f"0.0 of at most 10,737 MB in {cache}\n")
    assert run(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == "1 files removed, 0.0 MB\n"
    assert not list(cache.iterdir())
