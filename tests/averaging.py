"""What must hold of averaged weights on every backend; test_averaging.py runs it on TensorFlow and on JAX."""

from pathlib import Path
from unittest import mock

import keras
import numpy as np

from vit_train.errors import Interrupted
from vit_train.rundir import checkpoint
from vit_train.rundir.layout import RunDir
from vit_train.training import trainer
from vit_train.training.averaging import averaged
from vit_train.training.optimizer import AdamW
from vit_train.training.schedule import Schedule

IMAGES = np.float32([[1, 2], [3, 1], [1, 1], [2, 2]])


def values(variables):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def follow_the_formula():
    """Also over a non-finite step; and in `averaged` the averages are the weights, but not the statistics."""
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.BatchNormalization()(inputs)))
    schedule = Schedule("constant", 0.1, 0, 9, 1.0)
    optimizer = AdamW(schedule, decay="scaled", weight_decay=0.1, ema_decay=0.35, nonfinite_steps_allowed=1)
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    expected = values(model.trainable_variables)
    for step, target in enumerate([1.0, 2.0, np.nan, 3.0, 1.0, -2.0]):
        model.fit(IMAGES, np.full((4, 1), target, "float32"), batch_size=4, verbose=0)
        keep = min(0.35, (1 + step) / (10 + step))
        if np.isfinite(target):
            weights = values(model.trainable_variables)
            expected = [keep * a + (1 - keep) * w for a, w in zip(expected, weights, strict=True)]
        for ours, theirs in zip(values(optimizer.averages), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert int(optimizer.nonfinite_steps.numpy()) == 1
    before, statistics = values(model.trainable_variables), values(model.non_trainable_variables)
    try:
        with averaged(model, lambda: None):
            assert equal(values(model.trainable_variables), values(optimizer.averages))
            assert equal(values(model.non_trainable_variables), statistics)
            assert not equal(before, values(model.trainable_variables))
            raise KeyError
    except KeyError:
        assert equal(values(model.trainable_variables), before)


def stopped_in_validation(train, config):
    """The run directory of a run that gets a SIGTERM in the validation of its second epoch, with its checkpoint.

    What is saved are the weights that training had come to, and not their averages.
    """
    end, weights = trainer._Watcher.on_test_batch_end, []

    def stop(self, batch, logs=None):
        if self.trainer.progress.rows:
            self.trainer.stop.signal = 15
        end(self, batch, logs)

    def recording(model, sync):
        weights[:] = values(model.trainable_variables)
        return averaged(model, sync)

    with (
        mock.patch.object(trainer._Watcher, "on_test_batch_end", stop),
        mock.patch.object(trainer, "averaged", recording),
    ):
        try:
            train(config)
        except Interrupted:
            run = RunDir(next(Path(config.outputs).glob("*/*")))
    saved = checkpoint.load(run.checkpoints)[0]
    ours, averages = weights_and_averages(saved.latest, saved.latest)
    assert equal(ours, weights)
    assert not equal(ours, averages)
    return run


def survive_a_stop(config, train, load):
    """A run stopped in validation ends as one that was not stopped; the average of the best epoch is the model."""
    from killing import differences, result_of

    run = stopped_in_validation(train, config)
    resumed = train(load([f"resume={run.path}"]))
    whole = train(config)
    assert differences(result_of(run.path), result_of(Path(whole.run_dir))) == []
    end = checkpoint.load(run.checkpoints)[0]
    assert resumed.best_epoch == 2
    assert equal(*weights_and_averages(end.best, end.latest))
    assert not equal(*weights_and_averages(end.latest, end.latest))


def weights_and_averages(model, optimizer):
    """The trainable arrays of a checkpoint's model and the averages of its optimizer, alike in order."""
    averages = {name.split("/")[-1]: optimizer[name] for name in optimizer if name.endswith("_average")}
    named = {name.split("/", 2)[-1].replace("/", "_") + "_average": name for name in model if name.startswith("model/")}
    return [model[named[name]] for name in averages], list(averages.values())
