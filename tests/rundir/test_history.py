import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vit_train.config.training import EarlyStoppingConfig
from vit_train.rundir import history


def rows(values, name="val_accuracy"):
    return [
        {**dict.fromkeys(history.COLUMNS, 0.0), "epoch": epoch, name: value} for epoch, value in enumerate(values, 1)
    ]


def test_rows_are_written_with_every_digit(tmp_path):
    history.write(rows([0.1, 1 / 3]), tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert tuple(read[0]) == history.COLUMNS
    assert [float(row["val_accuracy"]) for row in read] == [0.1, 1 / 3]


@pytest.mark.parametrize(
    ("monitor", "values", "epoch"),
    [("val_accuracy", [0.1, 0.5, 0.3], 2), ("val_accuracy", [0.5, 0.5], 1), ("val_loss", [3.0, 1.0, 2.0], 2)],
)
def test_the_best_is_the_first_of_the_best(monitor, values, epoch):
    assert history.best(rows(values, monitor), monitor)["epoch"] == epoch


@pytest.mark.usefixtures("tensorflow")
@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.15, 0.2, 0.5]), min_size=1, max_size=12),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.06]),
    st.sampled_from(["val_accuracy", "val_loss"]),
)
def test_it_stops_when_keras_does(values, patience, min_delta, monitor):
    import keras

    theirs = keras.callbacks.EarlyStopping(
        monitor, min_delta=min_delta, patience=patience, mode="min" if monitor == "val_loss" else "max"
    )
    theirs.set_model(keras.Sequential())
    theirs.model.stop_training = False
    theirs.on_train_begin()
    stopping = EarlyStoppingConfig(monitor=monitor, patience=patience, min_delta=min_delta)
    for epoch, value in enumerate(values):
        theirs.on_epoch_end(epoch, {monitor: value})
        assert history.should_stop(rows(values[: epoch + 1], monitor), stopping) == theirs.model.stop_training
        if theirs.model.stop_training:
            break


def test_without_patience_it_never_stops():
    stopping = EarlyStoppingConfig(monitor="val_loss", patience=None, min_delta=0)
    assert not history.should_stop(rows([1.0] * 50, "val_loss"), stopping)


def test_columns_that_rows_lack_or_only_others_know_are_kept(tmp_path):
    """As when a run goes on in a version that measures more, or in one that measures less."""
    old, new = rows([0.1, 0.2])
    del old["top5_accuracy"]
    new["later"] = 0.5
    history.write([old, new], tmp_path / "history.csv")
    assert history.read(tmp_path / "history.csv") == [old, new]
    assert history.best([old, {"epoch": 2.0}], "val_accuracy") is old


@pytest.mark.parametrize("text", ["", "loss\n1\n", "epoch,loss\n1\n", "epoch\n1,2\n", "epoch\nx\n", "\0\0"])
def test_what_is_no_history_is_refused(tmp_path, text):
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(ValueError, match=r"^it "):
        history.read(tmp_path / "history.csv")
