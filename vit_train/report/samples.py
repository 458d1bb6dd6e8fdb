"""Test and training images, as they are, as they are cut, as they are varied, and what the model said of them."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vit_train.config.schema import Config
from vit_train.data.images import Examples, ImageSource, with_channels
from vit_train.data.pipeline import as_read, evaluation_batches, training_batches
from vit_train.report.canvas import figure, mosaic, shorten, without_axes
from vit_train.rundir.predictions import Predictions

COLUMNS, SHOWN = 6, 24


def draw_right(predictions: Predictions, test: ImageSource, class_names: Sequence[str]) -> Figure | None:
    """Right answers, evenly spread from the surest to the least sure."""
    found = _surest_first(predictions, predictions.right)
    chosen = found[np.unique(np.linspace(0, len(found) - 1, SHOWN).round().astype(int))] if len(found) else found
    return _answers(
        f"Right answers, from the surest: {len(chosen)} of {len(found):,}", chosen, predictions, test, class_names
    )


def draw_mistakes(predictions: Predictions, test: ImageSource, class_names: Sequence[str]) -> Figure | None:
    """The most confident mistakes, the surest first."""
    found = _surest_first(predictions, ~predictions.right)
    title = f"Most confident mistakes: {min(SHOWN, len(found))} of {len(found):,}"
    return _answers(title, found[:SHOWN], predictions, test, class_names)


def _surest_first(predictions: Predictions, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(-predictions.confidence, kind="stable")
    return np.asarray(order[wanted[order]])


def _answers(
    title: str, chosen: np.ndarray, predictions: Predictions, test: ImageSource, class_names: Sequence[str]
) -> Figure | None:
    """The test images at `chosen`, each under its index, its true and its predicted class, and the probability."""
    if not len(chosen):
        return None
    rows = math.ceil(len(chosen) / COLUMNS)
    drawn = figure(title, 10, 1.95 * rows + 0.4, images=True)
    places = drawn.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in places:
        without_axes(axes)
    for axes, index, image in zip(places, chosen, with_channels(test.read(chosen), 3), strict=False):
        true, guess = (shorten(class_names[place]) for place in (predictions.labels[index], predictions.top[index, 0]))
        axes.imshow(image)
        axes.set_title(f"#{index} {true}\n→ {guess} {predictions.confidence[index]:.0%}", fontsize=8)
    return drawn


def draw_patches(image: np.ndarray, prepared: np.ndarray, patch_size: int) -> Figure:
    """An image [H, W, C] as it was read, as the network sees it (float32 [S, S, C] in [0, 255]), and as patches."""
    image, prepared = with_channels(image, 3), with_channels(prepared, 3)
    side = len(prepared) // patch_size
    seen = np.clip(prepared / 255, 0, 1)
    patches = seen.reshape(side, patch_size, side, patch_size, 3).swapaxes(1, 2).reshape(-1, patch_size, patch_size, 3)
    drawn = figure("From image to tokens", 10, 3.9, images=True)
    pictures = {
        f"as read: {image.shape[1]} by {image.shape[0]} pixels": image,
        f"resized: {len(seen)} by {len(seen)} pixels": seen,
        f"{side * side} patches of {patch_size} by {patch_size} pixels": np.nan_to_num(mosaic(patches, side), nan=1.0),
    }
    for axes, (title, picture) in zip(drawn.subplots(1, 3), pictures.items(), strict=True):
        axes.imshow(picture)
        axes.set_title(title)
        without_axes(axes)
    return drawn


def draw_augmentation(training: ImageSource, config: Config) -> Figure | None:
    """Training images as evaluation sees them, and as seven epochs do; None if nothing is varied.

    A mixed image is in the row of the one that has the larger part in it.
    """
    count, epochs = min(4, len(training)), 7
    # Rows instead of labels: the pipeline shuffles.
    few = Examples(as_read(training, config).read(spread(len(training), count)), np.arange(count, dtype=np.int32))
    config = dataclasses.replace(
        config,
        augment=dataclasses.replace(config.augment, placement="host", repeats=1),
        train=dataclasses.replace(config.train, batch_size=count, steps_per_epoch=None),
    )
    batches = [*evaluation_batches(few, config), *training_batches(few, config, 0, epochs)]
    columns = [np.asarray(images)[np.argsort(_rows(np.asarray(targets)))] / 255 for images, targets in batches]
    if all(np.array_equal(columns[0], column) for column in columns):
        return None
    columns = [with_channels(column, 3) for column in columns]
    drawn = figure("Training images as the network sees them", 10, 1.25 * count + 0.7, images=True)
    places = drawn.subplots(count, epochs + 1, squeeze=False)
    for column, images in enumerate(columns):
        places[0, column].set_title(f"epoch {column}" if column else "not varied", fontsize=8)
        for row, image in enumerate(images):
            places[row, column].imshow(np.clip(image, 0, 1))
            without_axes(places[row, column])
    return drawn


def spread(images: int, count: int) -> np.ndarray:
    """At most `count` of so many images, even over all of them: folders and tables have one class after another."""
    return np.unique(np.linspace(0, images - 1, min(count, images)).round().astype(int))


def _rows(targets: np.ndarray) -> np.ndarray:
    return targets if targets.ndim == 1 else targets.argmax(axis=1)
