"""Training on features that are computed once is training on images, of which it skips what cannot change."""

import csv
from pathlib import Path

import numpy as np
import pytest

from vit_train.errors import ConfigError
from vit_train.rundir.layout import RunDir

pytestmark = pytest.mark.usefixtures("eagerly")

PROBE = ("augment=none", "model.dropout=0", "optimizer.groups=[{match:'^(?!head|logits)',learning_rate:0}]")
LAST_BLOCK = ("augment=none", "model.dropout=0", "optimizer.groups=[{match:'embedding|block_0',learning_rate:0}]")
CACHED = "train.cache_features=true"
CLOCK = ("seconds", "images_per_second")


def trained(config):
    """(rows of history.csv without the clock, the probabilities of predictions.csv)."""
    from vit_train.run import train

    run = RunDir(Path(train(config).run_dir))
    return figures(run)


def figures(run):
    rows = [
        [float(value) for name, value in row.items() if name not in CLOCK]
        for row in csv.DictReader(run.history.read_text().splitlines())
    ]
    first = [float(row["top1_probability"]) for row in csv.DictReader(run.predictions.read_text().splitlines())]
    return np.array(rows), np.array(first)


@pytest.mark.parametrize(
    "keys", [PROBE, (*LAST_BLOCK, "model.depth=2"), (*PROBE, "model.head_dropout=0.3", "train.ema_decay=0.9")]
)
def test_it_is_training_on_images(tiny, keys):
    rows, predictions = trained(tiny(*keys))
    cached_rows, cached_predictions = trained(tiny(*keys, CACHED))
    np.testing.assert_allclose(cached_rows, rows, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cached_predictions, predictions, rtol=1e-4, atol=1e-5)


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
