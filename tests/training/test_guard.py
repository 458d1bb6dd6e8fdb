"""Non-finite steps: what they leave alone, and when they end a run."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from vit_train.errors import NonFiniteLoss
from vit_train.run import train

pytestmark = pytest.mark.usefixtures("tensorflow")

GOOD, BAD, INFINITE = [0.1, -0.2, 0.3], [0.1, np.nan, 0.3], [np.inf, 0.0, 0.0]


def optimizer_after(*gradients, allowed=0):
    """An optimizer and its variable after one step for each of `gradients`."""
    import keras

    from vit_train.training.optimizer import AdamW
    from vit_train.training.schedule import Schedule

    variable = keras.Variable(np.float32([1, -2, 0.5]))
    schedule = Schedule("cosine", 1e-2, 0, 100, 0.0)
    optimizer = AdamW(schedule, decay="independent", weight_decay=0.1, nonfinite_steps_allowed=allowed)
    for gradient in gradients:
        optimizer.apply([np.float32(gradient)], [variable])
    return optimizer, variable


def state(optimizer, variable):
    """All that a step may change but the counts."""
    counts = (optimizer.iterations, optimizer.nonfinite_steps)
    slots = [slot for slot in optimizer.variables if not any(slot is count for count in counts)]
    assert len(slots) == 2
    return [np.array(each) for each in (variable, *slots)]


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(state(*a), state(*b), strict=True))


@pytest.mark.parametrize("bad", [BAD, INFINITE])
def test_a_bad_step_changes_neither_weights_nor_moments(bad):
    before, after = optimizer_after(GOOD, allowed=1), optimizer_after(GOOD, bad, allowed=1)
    assert equal(before, after)
    assert (int(after[0].iterations), int(after[0].nonfinite_steps), after[0].halted) == (2, 1, False)


def test_after_an_allowed_bad_step_training_goes_on():
    assert not equal(optimizer_after(GOOD, allowed=1), optimizer_after(GOOD, BAD, GOOD, allowed=1))


def test_after_one_too_many_nothing_changes_any_more():
    before, after = optimizer_after(GOOD, BAD, allowed=1), optimizer_after(GOOD, BAD, BAD, GOOD, BAD, allowed=1)
    assert equal(before, after)
    assert (int(after[0].iterations), int(after[0].nonfinite_steps), after[0].halted) == (2, 2, True)


def test_an_infinite_loss_is_a_bad_step_even_if_its_gradient_is_finite():
    import tensorflow as tf

    optimizer, logits = optimizer_after()[0], tf.Variable([[0.0, -np.inf]])
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits([1], logits)[0]
        scaled = optimizer.scale_loss(loss)
    assert np.isinf(loss)
    assert np.isfinite(tape.gradient(loss, logits)).all()
    assert np.isnan(tape.gradient(scaled, logits)).all()


@pytest.fixture
def poisoned(monkeypatch):
    """Makes the images of chosen steps (from 0) infinite: `poisoned(2, 3)`."""
    import tensorflow as tf

    from vit_train.training import trainer

    batches = trainer.training_batches

    def poison(*steps):
        def poisoned_batches(train, config, first, last, **part):
            numbers = tf.data.Dataset.range(first, last)
            both = tf.data.Dataset.zip(numbers, batches(train, config, first, last, **part))
            bad = tf.constant(steps, tf.int64)
            return both.map(lambda step, batch: (tf.where(tf.reduce_any(step == bad), np.inf, batch[0]), batch[1]))

        monkeypatch.setattr(trainer, "training_batches", poisoned_batches)

    return poison


@pytest.mark.usefixtures("eagerly")
def test_a_bad_step_ends_the_run_and_names_itself(tiny, poisoned, tmp_path):
    poisoned(2)
    with pytest.raises(NonFiniteLoss) as error:
        train(tiny("train.checkpoint.every=1", "optimizer.learning_rate=1e-3"))
    assert str(error.value) == (
        "the loss or a gradient is not finite in epoch 2 at step 3, at learning rate 0.001; the last good checkpoint "
        "is that of step 2; lower optimizer.learning_rate, lengthen schedule.warmup, set optimizer.clip_norm=1, or "
        "leave up to N such steps out with train.skip_nonfinite_steps=N"
    )
    (run,) = tmp_path.glob("*/*")
    assert json.loads((run / "report.json").read_text())["status"] == "failed"
    newest = max(run.glob("checkpoints/step-*"))
    with np.load(newest / "latest.npz") as arrays:
        assert all(np.isfinite(arrays[name]).all() for name in arrays.files)


@pytest.mark.slow
def test_allowed_bad_steps_are_left_out_and_counted(tiny, poisoned, capsys):
    poisoned(1, 2)
    report = train(tiny("train.skip_nonfinite_steps=2"))
    assert report.training["skipped_steps"] == 2
    assert "note: 2 of at most 2 non-finite steps are skipped so far" in capsys.readouterr().err
    with (Path(report.run_dir) / "history.csv").open(newline="") as file:
        assert all(np.isfinite([float(value) for value in row.values()]).all() for row in csv.DictReader(file))


@pytest.mark.slow
def test_a_run_that_ended_so_goes_on_when_more_is_allowed(tiny, poisoned, tmp_path):
    poisoned(2)
    with pytest.raises(NonFiniteLoss):
        train(tiny("train.checkpoint.every=1"))
    (run,) = tmp_path.glob("*/*")
    report = train(tiny(f"resume={run}", "train.checkpoint.every=1", "train.skip_nonfinite_steps=1"))
    assert (report.training["steps"], report.training["skipped_steps"]) == (4, 1)


ON_JAX = """
import keras, numpy as np
from vit_train.training.optimizer import AdamW
from vit_train.training.schedule import Schedule
inputs = keras.Input((2,))
model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
optimizer = AdamW(Schedule("constant", 0.1, 0, 9, 1.0), decay="scaled", weight_decay=0.1, nonfinite_steps_allowed=1)
model.compile(optimizer, "mse")
def fit(value):
    model.fit(np.full((4, 2), value, "float32"), np.ones((4, 1), "float32"), batch_size=4, verbose=0)
    return [np.array(v) for v in model.trainable_variables + model.optimizer.variables[2:4]]
def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b))
first = fit(1.0)
assert same(first, fit(np.nan)) and int(model.optimizer.iterations) == 2
second = fit(1.0)
assert not same(first, second)
assert same(second, fit(np.inf)) and same(second, fit(1.0)) and model.optimizer.halted
assert int(model.optimizer.iterations) == 3
"""


def test_jax_leaves_bad_steps_out_as_well(run_on):
    run_on("jax", ON_JAX)
