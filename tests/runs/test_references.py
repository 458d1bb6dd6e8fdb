import re

import pytest

from vit_train.errors import ConfigError
from vit_train.rundir.history import COLUMNS
from vit_train.runs.references import load_reference


def test_the_published_run_of_2021():
    """Figures of the text of the example, and of the epochs that its discussion names."""
    reference = load_reference("keras_io_2021")
    assert (reference.test, reference.dataset) == ({"accuracy": 0.5514, "top5_accuracy": 0.8186}, "cifar100")
    by_epoch = {row["epoch"]: row for row in reference.rows}
    assert by_epoch[1]["val_loss"] == 3.9661
    assert max(by_epoch, key=lambda epoch: by_epoch[epoch]["val_accuracy"]) == 79
    assert min(by_epoch, key=lambda epoch: by_epoch[epoch]["val_loss"]) == 37
    assert by_epoch[79]["val_accuracy"] == 0.555
    assert max(by_epoch) == 100


def test_its_rows_are_like_those_of_a_run():
    for row in load_reference("keras_io_2021").rows:
        assert row.keys() < set(COLUMNS)
        assert all(0 < row[name] < 1 for name in row if name.endswith("accuracy"))
        assert row["accuracy"] < row["top5_accuracy"]
        assert row["val_accuracy"] < row["val_top5_accuracy"]


def test_an_unknown_reference_is_a_sentence():
    message = "--reference keras_io_2020: must be one of keras_io_2021; did you mean keras_io_2021"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        load_reference("keras_io_2020")
