"""The training loop: epochs of Keras' `fit` and `evaluate`, and what comes between them and may interrupt them."""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras

from vit_train.config.own import validation_metrics
from vit_train.config.schema import Config
from vit_train.console import say
from vit_train.data.images import ImageSource
from vit_train.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from vit_train.data.sampling import images_per_epoch
from vit_train.errors import CheckpointError, Interrupted, NonFiniteLoss
from vit_train.machine import cluster
from vit_train.metrics import TRAINING
from vit_train.progress import TrainingDisplay
from vit_train.rundir import checkpoint, history
from vit_train.rundir.checkpoint import Arrays, Checkpoint
from vit_train.rundir.history import Row
from vit_train.rundir.layout import RunDir
from vit_train.text import command, setting
from vit_train.training import fitted, state
from vit_train.training.averaging import averaged
from vit_train.training.distribution import Devices
from vit_train.training.features import CachedFeatures
from vit_train.training.interrupt import StopRequest
from vit_train.training.objective import measured
from vit_train.training.profile import Profile

_SECONDS_BETWEEN_LOOKS = 5.0  # at the count of non-finite steps; a look waits for the device


@dataclass
class Progress:
    """How far a run has come: all of its state but the arrays."""

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    trained: Row | None = None  # figures of the running epoch's training, once that part of it is done
    seconds: float = 0.0  # spent on the running epoch


class Trainer:
    """A compiled model in training, with its data and its progress.

    In the first train.low_resolution_epochs, `early` is trained in its place: the same weights, for smaller images.
    With `cached`, all of the training is that of its tail.
    """

    def __init__(
        self,
        model: keras.Model,
        training: ImageSource,
        validation: ImageSource,
        config: Config,
        run: RunDir,
        devices: Devices,
        early: keras.Model | None = None,
        cached: CachedFeatures | None = None,
    ) -> None:
        self.model, self.training, self.config, self.settings, self.run = model, training, config, config.train, run
        self.early, self.cached = early, cached
        self.running = model  # the one of these that was in `fit` or `evaluate` last
        self.images = images_per_epoch(training.labels, config)
        self.steps = steps_per_epoch(self.images, config)
        self.devices = devices
        self.validation = evaluation_batches(validation, config, devices.part)
        self.log: Callable[[list[Row]], None] = lambda rows: None
        self.progress = Progress()
        self.best: Arrays = {}
        self.metrics: Arrays = {}  # of an epoch that was left in its midst
        self.leads = cluster.leads()  # else it writes nothing, and ends when the process that leads does
        self.stop = StopRequest(heeded=self.leads)
        self.watcher = _Watcher(self)
        self.saved_step, self.saved_rows, self.saved_at = 0, 0, time.monotonic()
        self.nonfinite_steps, self.looked_at = 0, time.monotonic()

    def restore(self) -> None:
        """Takes up the newest sound checkpoint, if there is any, and changes nothing that is of use.

        Raises CheckpointError if there are damaged ones only, or none though the run was finished.
        """
        folder = self.run.checkpoints
        if self.leads:
            checkpoint.tidy(folder)
        cluster.wait()
        found, damages = checkpoint.load(folder)
        for damage in damages:
            say(f"{damage}; the one before it is used")
        if found is None:
            if self.run.model.exists():
                raise CheckpointError(
                    f"{folder}: has no checkpoint, so the finished run cannot continue; all is left as it is; "
                    "bring the folder back, or start a new run"
                )
            return
        with self.devices.scope():
            variables = ("model", self.model.variables), ("optimizer", self.model.optimizer.variables)
            state.assign(found.latest, *variables)
        self.best, self.progress = found.best, Progress(**found.progress)
        self.saved_step, self.saved_rows = self.progress.step, len(self.progress.rows)
        if self.progress.trained is None and self.progress.step > len(self.progress.rows) * self.steps:
            self.metrics = found.latest

    def fit(self, log: Callable[[list[Row]], None]) -> list[Row]:
        """Trains on from where it is, and gives the model its best weights; `log` gets the rows after each epoch.

        Returns the rows of history.csv. Raises NonFiniteLoss, CheckpointError, or Interrupted once the state is saved.
        """
        self.log = log
        if self.progress.step:
            where = "where training ended" if self._done() else f"in epoch {len(self.progress.rows) + 1}"
            say(f"resuming after step {self.progress.step}, {where}")
            self._write_history()
        elif self.run.history.exists():
            say("no checkpoint was saved before the run stopped; it starts again from the first step")
        with self.devices.scope():
            self.train()
            state.assign(self.best, ("model", self.model.variables))
        if len(fits := self.config.head.fits) > 1:
            best = history.best(self.progress.rows, self.settings.checkpoint.monitor)
            say(f"{fits[int(best['epoch']) - 1]} is the best by {self.settings.checkpoint.monitor}")
        return self.progress.rows

    def train(self) -> None:
        """Trains to the last epoch or an early stop and saves the state then, or when interrupted."""
        settings = self.settings
        self.display = TrainingDisplay(settings.epochs, self.steps, settings.batch_size)
        with self.stop:
            try:
                if self.cached and not self._done():
                    self._compute_features(self.cached)
                with self.display:
                    while not self._done():
                        self._epoch()
                        self.stop.check()
                    self._save_if_new()
                self.stop.check()  # of what came while it was saved
            except Interrupted:
                self._save_if_new()
                done = f"step {self.progress.step} is saved" if self.progress.step else "no step was taken yet"
                say(f"{done}; continue with: {command(setting('resume', self.run.path))}")
                raise

    def _compute_features(self, cached: CachedFeatures) -> None:
        cached.compute(self.stop.check)
        self.validation = cached.validation_batches()

    def _done(self) -> bool:
        return history.at_end(self.progress.rows, self.settings)

    def _save_if_new(self) -> None:
        # Between two steps nothing else changes: a validation that was cut short begins anew.
        if (self.saved_step, self.saved_rows) != (self.progress.step, len(self.progress.rows)):
            self.save()

    def save(self) -> None:
        """Writes a checkpoint; unlike elsewhere, a stop request does not get in between."""
        self._sync()
        self.progress.seconds = time.monotonic() - self.epoch_began
        if self.leads:
            arrays = state.all_arrays(self.model, self.running.metrics_variables)
            checkpoint.save(self.run.checkpoints, Checkpoint(arrays, self.best, dataclasses.asdict(self.progress)))
        self.saved_step, self.saved_rows, self.saved_at = self.progress.step, len(self.progress.rows), time.monotonic()

    def _write_history(self) -> None:
        if self.leads:
            history.write(self.progress.rows, self.run.history)

    def _sync(self) -> None:
        if keras.config.backend() == "jax":
            self.running.jax_state_sync()  # it keeps the variables of a running epoch elsewhere

    def _epoch(self) -> None:
        progress, end = self.progress, (len(self.progress.rows) + 1) * self.steps
        self.epoch_began = time.monotonic() - progress.seconds
        fits = self.config.head.fits
        self.display.start_epoch(len(progress.rows) + 1, f"fitting {fits[len(progress.rows)]}" if fits else None)
        if progress.trained is None:
            progress.trained = self._fitted() if fits else self._trained(end)
        self.running = self.cached.tail if self.cached else self.model
        self.display.start_validation()
        with averaged(self.model, self._sync):
            logs = self.running.evaluate(self.validation, callbacks=[self.watcher], verbose=0, return_dict=True)
        self.require_finite(logs["loss"])
        self._end_epoch(progress.trained | measured(logs, validation_metrics()))

    def _trained(self, end: int) -> Row:
        """Trains up to the step `end`; gives the epoch's figures."""
        self.running, batches = self._in_training(end)
        callbacks: list[keras.callbacks.Callback] = [self.watcher]
        if (traced := self.config.compute.profile_steps) and not self.progress.rows and self.leads:
            callbacks.append(Profile(self.run.profile, traced, self.settings.batch_size))
        count = end - self.progress.step
        options = {"verbose": 0, "shuffle": False}  # the batches come in their order
        logs = self.running.fit(batches, steps_per_epoch=count, callbacks=callbacks, **options).history
        self.require_finite_steps()
        images = min(self.images, self.steps * self.settings.batch_size)
        speed = images / (time.monotonic() - self.epoch_began)
        return {**measured({name: values[0] for name, values in logs.items()}, TRAINING), "images_per_second": speed}

    def _fitted(self) -> Row:
        """Fits the head to the features, which is the one step of an epoch; gives the epoch's figures."""
        assert self.cached
        layer, head = self.cached.tail.get_layer("logits"), self.config.head
        features, labels = (array.numpy() for array in self.cached.arrays[0])
        fitted.fit(layer, head, len(self.progress.rows), features, labels)
        speed = self.images / (time.monotonic() - self.epoch_began)
        self.progress.step += 1
        return {**fitted.training_figures(layer, head, features, labels), "images_per_second": speed}

    def _in_training(self, end: int) -> tuple[keras.Model, Any]:
        """What is in `fit` up to the step `end`, and its batches."""
        first = self.progress.step
        if self.cached:
            return self.cached.tail, self.cached.training_batches(first, end)
        model, size = self.model, None
        if self.early and len(self.progress.rows) < self.settings.low_resolution_epochs:
            model, size = self.early, self.settings.low_resolution
        part = self.devices.part
        return model, training_batches(self.training, self.config, first, end, size=size, part=part)

    def _end_epoch(self, figures: Row) -> None:
        progress = self.progress
        row: Row = {
            "epoch": len(progress.rows) + 1,
            "step": progress.step,
            "learning_rate": self.learning_rate(),
            "seconds": time.monotonic() - self.epoch_began,
            **figures,
        }
        progress.rows.append(row)
        progress.trained, progress.seconds, self.epoch_began = None, 0.0, time.monotonic()
        if history.best(progress.rows, self.settings.checkpoint.monitor) is row:
            with averaged(self.model, self._sync):
                self.best = state.model_arrays(self.model)
        self._write_history()
        self.log(progress.rows)
        self.display.end_epoch(row)
        if self.due():
            self.save()

    def after_step(self, logs: Any) -> None:
        """Counts a step, shows it, and stops or saves if it is time to."""
        self.progress.step += 1
        done = self.progress.step - len(self.progress.rows) * self.steps
        self.display.step(done, lambda: {**measured(logs, TRAINING), "learning_rate": self.learning_rate()})
        # After the last step of an epoch the validation follows, which stops, or is followed by saving, by itself.
        if done < self.steps and (self.due() or self.stop.requested):
            self.require_finite_steps()
            self.stop.check()
            self.save()
        elif time.monotonic() - self.looked_at >= _SECONDS_BETWEEN_LOOKS:
            self.require_finite_steps()

    def due(self) -> bool:
        """Whether the work since the last checkpoint is as much as may be lost."""
        every = self.settings.checkpoint.every
        if every.unit == "minute":
            return time.monotonic() - self.saved_at >= every.value * 60
        return self.progress.step - self.saved_step >= max(1, every.steps(self.steps))

    def learning_rate(self) -> float:
        """That of the latest step."""
        return float(self.model.optimizer.schedule(max(self.progress.step - 1, 0)))

    def require_finite_steps(self) -> None:
        """Raises NonFiniteLoss if there were more non-finite steps than may be skipped; says so if some were."""
        self._sync()
        self.looked_at = time.monotonic()
        optimizer, known = self.model.optimizer, self.nonfinite_steps
        self.nonfinite_steps = int(optimizer.nonfinite_steps.numpy())
        if optimizer.halted:
            step = int(optimizer.iterations.numpy()) + 1
            raise self._non_finite("loss or a gradient", step, float(optimizer.schedule(step - 1)))
        if self.nonfinite_steps > known:
            allowed = self.settings.skip_nonfinite_steps
            say(f"note: {self.nonfinite_steps} of at most {allowed} non-finite steps are skipped so far")

    def require_finite(self, validation_loss: float) -> None:
        """Raises NonFiniteLoss if the loss is infinite or undefined on the validation images."""
        if not math.isfinite(validation_loss):
            raise self._non_finite("validation loss", self.progress.step, self.learning_rate())

    def _non_finite(self, what: str, step: int, learning_rate: float) -> NonFiniteLoss:
        good = (
            f"the last good checkpoint is that of step {self.saved_step}" if self.saved_step else "nothing is saved yet"
        )
        return NonFiniteLoss(
            f"the {what} is not finite in epoch {(step - 1) // self.steps + 1} at step {step}, at learning rate "
            f"{learning_rate:g}; {good}; lower optimizer.learning_rate, lengthen schedule.warmup, set "
            "optimizer.clip_norm=1, or leave up to N such steps out with train.skip_nonfinite_steps=N"
        )


class _Watcher(keras.callbacks.Callback):
    """Tells the trainer what `fit` and `evaluate` do."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.trainer = trainer

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.trainer.metrics:
            state.assign(self.trainer.metrics, ("metrics", self.model.metrics_variables))
            self.trainer.metrics = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.trainer.after_step(logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.trainer.display.validation_batch()
        self.trainer.stop.check()
