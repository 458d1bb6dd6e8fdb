"""Compile and train: batches -> weights of the best epoch, whatever comes between."""

import dataclasses
import math
import time
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from vit_train import checkpoint, history, state
from vit_train.checkpoint import Arrays, Checkpoint
from vit_train.config import Config
from vit_train.console import TrainingDisplay, say
from vit_train.data.images import ImageSource
from vit_train.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from vit_train.errors import Interrupted, NonFiniteLoss
from vit_train.history import Row
from vit_train.interrupt import StopRequest
from vit_train.models.warp import Warp
from vit_train.optim import build_optimizer
from vit_train.run_dir import RunDir


def compiled(network: keras.Model, training: ImageSource, config: Config) -> keras.Model:
    """The network as `fit` trains it on `training`: with optimizer, loss and metrics."""
    model = _with_warp(network, config, training.size)
    model.compile(
        optimizer=build_optimizer(config, model, steps_per_epoch(len(training), config)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5_accuracy"),
        ],
    )
    # Keras makes these variables with the first batch; a checkpoint is restored before that.
    model.optimizer.build(model.trainable_variables)
    model.compute_metrics(None, np.zeros(1, "int32"), np.zeros((1, model.output_shape[-1]), "float32"), None)
    model.reset_metrics()
    return model


def _with_warp(network: keras.Model, config: Config, source: tuple[int, int]) -> keras.Model:
    """A model of the same layers to compile, so that `network` stays free of what belongs to training.

    The warp is in front if augmentation is placed on the device; `source` is (height, width) of the images.
    """
    if config.augment.placement == "host":
        return keras.Model(network.input, network.output, name="on_host")
    images = keras.Input((*source, 3), dtype="uint8", name="images")
    transforms = keras.Input((8,), dtype="float32", name="transforms")
    warped = Warp(config.model.image_size, name="warp")(images, transforms)
    return keras.Model({"images": images, "transforms": transforms}, network(warped), name="on_device")


@dataclass
class Progress:
    """How far a run has come: all of its state but the arrays."""

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    trained: Row | None = None  # figures of the running epoch's training, once that part of it is done
    seconds: float = 0.0  # spent on the running epoch


def fit(model: keras.Model, training: ImageSource, validation: ImageSource, config: Config, run: RunDir) -> list[Row]:
    """Trains a compiled model, from the newest checkpoint in `run` if there is one, and gives it its best weights.

    Returns the rows of history.csv. Raises NonFiniteLoss, CheckpointError, or Interrupted once the state is saved.
    """
    trainer = Trainer(model, training, validation, config, run)
    trainer.restore()
    trainer.train()
    state.assign(trainer.best, ("model", model.variables))
    return trainer.progress.rows


class Trainer:
    """A model in training, with its data and its progress."""

    def __init__(
        self, model: keras.Model, training: ImageSource, validation: ImageSource, config: Config, run: RunDir
    ) -> None:
        self.model, self.training, self.config, self.settings, self.run = model, training, config, config.train, run
        self.steps = steps_per_epoch(len(training), config)
        self.validation = evaluation_batches(validation, config)
        self.progress = Progress()
        self.best: Arrays = {}
        self.metrics: Arrays = {}  # of an epoch that was left in its midst
        self.stop = StopRequest()
        self.watcher = _Watcher(self)
        self.saved_step, self.saved_at = 0, time.monotonic()

    def restore(self) -> None:
        """Takes up the newest sound checkpoint, if there is any."""
        found, damages = checkpoint.load(self.run.checkpoints)
        for damage in damages:
            say(f"{damage}; the one before it is used")
        if found is None:
            return
        variables = ("model", self.model.variables), ("optimizer", self.model.optimizer.variables)
        state.assign(found.latest, *variables)
        self.best, self.progress = found.best, Progress(**found.progress)
        self.saved_step = self.progress.step
        if self.progress.trained is None and self.progress.step > len(self.progress.rows) * self.steps:
            self.metrics = found.latest
        say(f"going on after step {self.progress.step}, in epoch {len(self.progress.rows) + 1}")

    def train(self) -> None:
        """Trains to the last epoch or an early stop and saves the state then, or when interrupted."""
        rows, settings = self.progress.rows, self.settings
        self.display = TrainingDisplay(settings.epochs, self.steps, settings.batch_size, self.progress.step)
        with self.stop, self.display:
            try:
                while len(rows) < settings.epochs and not history.should_stop(rows, settings.early_stopping):
                    self._epoch()
            except Interrupted:
                self.save()
                say(f"step {self.progress.step} is saved; go on with: vit-train resume={self.run.path}")
                raise
            if self.saved_step != self.progress.step:
                self.save()

    def save(self) -> None:
        """Writes a checkpoint; unlike elsewhere, a stop request does not get in between."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()  # JAX keeps the variables of a running epoch elsewhere
        self.progress.seconds = time.monotonic() - self.epoch_began
        arrays = state.all_arrays(self.model)
        checkpoint.save(self.run.checkpoints, Checkpoint(arrays, self.best, dataclasses.asdict(self.progress)))
        self.saved_step, self.saved_at = self.progress.step, time.monotonic()

    def _epoch(self) -> None:
        progress, end = self.progress, (len(self.progress.rows) + 1) * self.steps
        self.epoch_began = time.monotonic() - progress.seconds
        self.display.start_epoch(len(progress.rows) + 1)
        if progress.trained is None:
            batches = training_batches(self.training, self.config, progress.step, end)
            options = {"verbose": 0, "shuffle": False}  # the batches come in their order
            logs = self.model.fit(
                batches, steps_per_epoch=end - progress.step, callbacks=[self.watcher], **options
            ).history
            images = min(len(self.training), self.steps * self.settings.batch_size)
            speed = images / (time.monotonic() - self.epoch_began)
            progress.trained = {name: values[0] for name, values in logs.items()} | {"images_per_second": speed}
        logs = self.model.evaluate(self.validation, callbacks=[self.watcher], verbose=0, return_dict=True)
        self._end_epoch(progress.trained | {f"val_{name}": value for name, value in logs.items()})

    def _end_epoch(self, figures: Row) -> None:
        progress = self.progress
        row: Row = {
            "epoch": len(progress.rows) + 1,
            "step": progress.step,
            "learning_rate": self.learning_rate(),
            "seconds": time.monotonic() - self.epoch_began,
            **figures,
        }
        self.require_finite(row["loss"], row["val_loss"])
        progress.rows.append(row)
        progress.trained, progress.seconds, self.epoch_began = None, 0.0, time.monotonic()
        if history.best(progress.rows, self.settings.checkpoint.monitor) is row:
            self.best = state.model_arrays(self.model)
        history.write(progress.rows, self.run.history)
        self.display.end_epoch(row)
        if self.due():
            self.save()

    def after_step(self, logs: Any) -> None:
        """Counts a step, shows it, and stops or saves if it is time to."""
        self.progress.step += 1
        done = self.progress.step - len(self.progress.rows) * self.steps
        self.display.step(done, lambda: {**_floats(logs), "learning_rate": self.learning_rate()})
        # After the last step of an epoch the validation follows, which stops, or is followed by saving, by itself.
        if done < self.steps and (self.due() or self.stop.requested):
            self.require_finite(float(logs["loss"]))
            self.stop.check()
            self.save()

    def due(self) -> bool:
        """Whether the work since the last checkpoint is as much as may be lost."""
        every = self.settings.checkpoint.every
        if every.unit == "minute":
            return time.monotonic() - self.saved_at >= every.value * 60
        return self.progress.step - self.saved_step >= max(1, every.steps(self.steps))

    def learning_rate(self) -> float:
        """That of the latest step."""
        return float(self.model.optimizer.schedule(max(self.progress.step - 1, 0)))

    def require_finite(self, *losses: float) -> None:
        """Raises NonFiniteLoss unless all losses are finite."""
        if all(math.isfinite(loss) for loss in losses):
            return
        raise NonFiniteLoss(
            f"the loss is {', in validation '.join(f'{loss:g}' for loss in losses)} in epoch "
            f"{len(self.progress.rows) + 1} at step {self.progress.step}, at learning rate {self.learning_rate():g}; "
            f"the last good checkpoint is that of step {self.saved_step}; lower optimizer.learning_rate, lengthen "
            "schedule.warmup or set optimizer.clip_norm=1"
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
        self.trainer.stop.check()


def _floats(logs: Any) -> Row:
    return {name: float(value) for name, value in logs.items()}
