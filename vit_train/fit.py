"""Compile, callbacks, model.fit: batches -> best weights."""

import csv
import math
import time
from dataclasses import dataclass
from typing import Any

import keras

from vit_train.config import Config
from vit_train.console import TrainingDisplay
from vit_train.data.images import Examples
from vit_train.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from vit_train.errors import NonFiniteLoss
from vit_train.models.warp import Warp
from vit_train.optim import build_optimizer
from vit_train.run_dir import RunDir

Row = dict[str, float]

HISTORY_COLUMNS = (
    "epoch",
    "step",
    "learning_rate",
    "loss",
    "accuracy",
    "top5_accuracy",
    "val_loss",
    "val_accuracy",
    "val_top5_accuracy",
    "seconds",
    "images_per_second",
)


@dataclass(frozen=True)
class History:
    """The rows of history.csv, one per epoch, and the one whose weights were kept."""

    rows: list[Row]
    best: Row


def compiled(network: keras.Model, training: Examples, config: Config) -> keras.Model:
    """The network as `fit` trains it on `training`: with optimizer, loss and metrics."""
    model = _with_warp(network, config, training.images.shape[1:3])
    model.compile(
        optimizer=build_optimizer(config, model, steps_per_epoch(len(training), config)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5_accuracy"),
        ],
    )
    return model


def _with_warp(network: keras.Model, config: Config, source: tuple[int, int]) -> keras.Model:
    """Puts the warp in front if augmentation is placed on the device; `source` is (height, width) of the images."""
    if config.augment.placement == "host":
        return network
    images = keras.Input((*source, 3), dtype="uint8", name="images")
    transforms = keras.Input((8,), dtype="float32", name="transforms")
    warped = Warp(config.model.image_size, name="warp")(images, transforms)
    return keras.Model({"images": images, "transforms": transforms}, network(warped), name="on_device")


def fit(model: keras.Model, training: Examples, validation: Examples, config: Config, run: RunDir) -> History:
    """Trains a compiled model and leaves it with the weights of its best epoch.

    Raises NonFiniteLoss at the end of an epoch whose loss is not finite.
    """
    epochs, steps = config.train.epochs, steps_per_epoch(len(training), config)
    display = TrainingDisplay(epochs, steps, config.train.batch_size)
    recorder = Recorder(display, min(len(training), steps * config.train.batch_size), run)
    with display:
        model.fit(
            training_batches(training, config, 0, epochs * steps),
            epochs=epochs,
            steps_per_epoch=steps,
            validation_data=evaluation_batches(validation, config),
            callbacks=[recorder, *_selection(config, run)],
            verbose=0,
            shuffle=False,  # the batches come in their order
        )
    model.load_weights(run.best_weights)
    monitor = config.train.checkpoint.monitor
    pick = min if _mode(monitor) == "min" else max
    return History(recorder.rows, pick(recorder.rows, key=lambda row: row[monitor]))


def _mode(monitor: str) -> str:
    return "min" if monitor.endswith("loss") else "max"


def _selection(config: Config, run: RunDir) -> list[keras.callbacks.Callback]:
    """Which epoch is kept, and when to stop; both look at the validation split only."""
    monitor = config.train.checkpoint.monitor
    callbacks = [
        keras.callbacks.ModelCheckpoint(
            run.best_weights, monitor=monitor, mode=_mode(monitor), save_best_only=True, save_weights_only=True
        )
    ]
    stopping = config.train.early_stopping
    if stopping.patience is not None:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                stopping.monitor, mode=_mode(stopping.monitor), patience=stopping.patience, min_delta=stopping.min_delta
            )
        )
    return callbacks


class Recorder(keras.callbacks.Callback):
    """Shows training as it goes, writes history.csv row by row, and stops a run that diverged."""

    def __init__(self, display: TrainingDisplay, images_per_epoch: int, run: RunDir) -> None:
        super().__init__()
        self.display, self.images_per_epoch, self.run = display, images_per_epoch, run
        self.rows: list[Row] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self._append(HISTORY_COLUMNS)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.display.start_epoch(epoch + 1)
        self.epoch_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.display.step(batch + 1, lambda: self._figures(logs))

    def on_test_begin(self, logs: Any = None) -> None:
        self.training_ended = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row = {"epoch": epoch + 1, "step": int(self.model.optimizer.iterations), **self._figures(logs)}
        row["seconds"] = time.perf_counter() - self.epoch_began
        row["images_per_second"] = self.images_per_epoch / (self.training_ended - self.epoch_began)
        self.rows.append(row)
        self._append([row[name] for name in HISTORY_COLUMNS])
        self.display.end_epoch(row)
        if not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])):
            raise NonFiniteLoss(
                f"the loss is {row['loss']:g} (validation {row['val_loss']:g}) after epoch {row['epoch']}, step "
                f"{row['step']}, at learning rate {row['learning_rate']:g}; lower optimizer.learning_rate, lengthen "
                "schedule.warmup or set optimizer.clip_norm=1"
            )

    def _figures(self, logs: Any) -> Row:
        """Metrics as floats, and the learning rate of the latest step."""
        schedule, step = self.model.optimizer._learning_rate, int(self.model.optimizer.iterations)
        metrics = {name: float(value) for name, value in logs.items()}
        return {"learning_rate": float(schedule(max(step - 1, 0))), **metrics}

    def _append(self, cells: Any) -> None:
        with self.run.history.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(cells)
