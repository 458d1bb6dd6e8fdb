"""The figures of a run: which there are, what they show, and that none of them can spoil the rest."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from vit_train.config.schema import Config
from vit_train.console import logger, say
from vit_train.data.images import ImageSource
from vit_train.data.superclasses import superclasses_of
from vit_train.files import written_beside
from vit_train.models.preprocessing import network_of, prepared
from vit_train.report import canvas, inside, samples
from vit_train.report.calibration import draw_reliability
from vit_train.report.confusion import draw_confusion, write_confusion
from vit_train.report.curves import draw_curves
from vit_train.report.scores import calibration, confusion
from vit_train.report.writer import Report
from vit_train.rundir import records
from vit_train.rundir.layout import RunDir

Drawing = tuple[str, Callable[[], Figure | None]]


def draw(
    report: Report, run: RunDir, config: Config, model: Any, test: ImageSource | None, training: ImageSource | None
) -> list[str]:
    """Draws into figures/ what the run directory, the model and the data set at hand allow.

    Returns a sentence for each figure that could not be drawn, which stays as it was; all others are there.
    """
    run.figures.mkdir(exist_ok=True)
    drawings = [*_of_results(report, run, test)]
    if model is not None:
        drawings += _of_model(report, run, model, test)
    if training is not None:
        drawings.append(("augmentation", lambda: samples.draw_augmentation(training, config)))
    tasks = [(run.figures / f"{name}.png", partial(canvas.save, make)) for name, make in drawings]
    if report.test is not None:
        tasks.append((run.figures / "confusion.csv", partial(_write_confusion, report, run)))
    if model is not None:
        tasks += [(run.figures / name, partial(write_model, model)) for name in ("model.txt", "model.png")]
    return [note for path, task in tasks if (note := attempt(path, task))]


def attempt(path: Path, task: Callable[[Path], None]) -> str | None:
    """Lets `task` write a file; if it fails, returns a sentence, which the user sees, too, and leaves what was there.

    train.log gets the traceback.
    """
    try:
        with written_beside(path) as part:
            task(part)
    except Exception as error:
        note = f"{path.name} could not be made ({type(error).__name__}: {error})"
        say(f"note: {note}; the numbers are safe, and train.log has the traceback")
        logger.info("traceback", exc_info=True)
        return note
    return None


def _of_results(report: Report, run: RunDir, test: ImageSource | None) -> Iterator[Drawing]:
    best, names = report.best_epoch, report.class_names
    if best is not None:
        yield "curves", lambda: draw_curves(records.read_rows(run), best)
    if report.test is None:
        return
    superclasses = superclasses_of(report.dataset, names)
    # Read once, and where a damaged file costs these figures only.
    found = cache(partial(records.read_predictions, run))
    yield "confusion", lambda: draw_confusion(confusion(found(), len(names)), names, superclasses)
    yield "reliability", lambda: draw_reliability(calibration(found()))
    if test is not None:
        yield "right", lambda: samples.draw_right(found(), test, names)
        yield "mistakes", lambda: samples.draw_mistakes(found(), test, names)


def _write_confusion(report: Report, run: RunDir, path: Path) -> None:
    names = report.class_names
    write_confusion(confusion(records.read_predictions(run), len(names)), names, path)


def _of_model(report: Report, run: RunDir, model: Any, test: ImageSource | None) -> Iterator[Drawing]:
    network = network_of(model)
    yield "filters", lambda: inside.draw_filters(network)
    yield "positions", lambda: inside.draw_positions(network)
    if test is None:
        return
    few = samples.spread(len(test), 6)
    names = [f"#{index} {report.class_names[test.labels[index]]}" for index in few]
    yield "attention", lambda: inside.draw_attention(network, prepared(model, test.read(few)), names)
    yield "patches", lambda: _patches(model, test.read(few[:1]))


def _patches(model: Any, images: np.ndarray) -> Figure | None:
    size = inside.patch_size(network_of(model))
    return samples.draw_patches(images[0], prepared(model, images)[0], size) if size else None


def write_model(model: Any, path: Path) -> None:
    """The layers as a table (.txt) or, where Graphviz is installed, as a graph (.png)."""
    if path.suffix == ".txt":
        lines: list[str] = []
        model.summary(print_fn=lines.append, expand_nested=True, line_length=100)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif shutil.which("dot"):
        keras.utils.plot_model(network_of(model), path, show_shapes=True, show_layer_names=True, dpi=96)
