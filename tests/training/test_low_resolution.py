"""The first epochs on smaller images: the same weights, one training, and a stop among them leaves no trace."""

from pathlib import Path

import numpy as np
import pytest

from vit_train.config.models import VitConfig
from vit_train.errors import ConfigError
from vit_train.rundir import history
from vit_train.rundir.layout import RunDir

LOW = (
    "model.image_size=16", "model.stem=conv", "model.mlp=conv", "model.pooling=average", "model.head_units=[]",
    "train.ema_decay=0.9", "train.low_resolution=8", "train.low_resolution_epochs=2", "train.epochs=3",
)  # fmt: skip
COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy")


def rows_of(path):
    return [[row[name] for name in COLUMNS] for row in history.read(RunDir(Path(path)).history)]


def test_a_network_at_another_size_has_the_same_weights(tensorflow, tiny):
    from vit_train.models.build import build_model
    from vit_train.models.resolution import at_size

    config = tiny(*LOW).model
    assert isinstance(config, VitConfig)
    network = build_model(config, 10)
    smaller, same = at_size(network, 8), at_size(network, 16)
    assert [id(v) for v in smaller.variables] == [id(v) for v in network.variables]
    images = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(same(images), network(images))
    assert smaller(images[:, :8, :8]).shape == (3, 10)


@pytest.mark.slow
def test_it_is_trained_and_resumed_as_if_never_stopped(stopped, eagerly, tiny):
    """The stop comes in the second epoch, which is one of the low resolution."""
    from vit_train.run import train

    run = stopped(tiny(*LOW))
    resumed = rows_of(train(tiny(*LOW, f"resume={run.path}")).run_dir)
    whole = rows_of(train(tiny(*LOW)).run_dir)
    assert len(whole) == 3
    assert resumed == whole


@pytest.mark.slow
def test_the_first_epochs_are_other_ones(eagerly, tiny):
    from vit_train.run import train

    low, high = rows_of(train(tiny(*LOW)).run_dir), rows_of(train(tiny(*LOW[:6], "train.epochs=3")).run_dir)
    assert low[0] != high[0]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["train.low_resolution=4"],
            "train.low_resolution=4: with train.low_resolution_epochs=0: set both, or neither",
        ),
        (["train.low_resolution_epochs=1"], "train.low_resolution=null: with train.low_resolution_epochs=1: set both"),
        ([*LOW, "train.low_resolution=6"], "train.low_resolution=6: must be a multiple of model.patch_size=4"),
        ([*LOW, "model.pooling=flatten"], "train.low_resolution=8: model.pooling=flatten has weights for each token"),
        (["model=matmul_free", *LOW[6:]], "train.low_resolution=8: model=matmul_free has weights for each token"),
    ],
)
def test_what_cannot_be_is_one_sentence(overrides, sentence, tmp_path):
    from vit_train.config.compose import load_config

    with pytest.raises(ConfigError, match=sentence.split(":")[0]) as caught:
        load_config(["model.image_size=8", "model.patch_size=4", *overrides])
    assert str(caught.value).startswith(sentence)
