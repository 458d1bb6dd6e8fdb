"""What a run tells at its end, however it ends: figures, pages, and report.json."""

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from vit_train.config.schema import Config
from vit_train.data.images import ImageSource
from vit_train.errors import Interrupted, VitTrainError
from vit_train.report import gallery, pages, writer
from vit_train.report.writer import Report
from vit_train.rundir import history
from vit_train.rundir.layout import RunDir


def tell(
    report: Report,
    run: RunDir,
    config: Config,
    model: Any = None,
    test: ImageSource | None = None,
    training: ImageSource | None = None,
    figures: bool = True,
) -> list[str]:
    """Draws the figures and writes report.md and report.html for a report whose numbers are safe on the disk.

    `model` is the one of model.keras; without it or the images, the figures that need them stay as they are. What fails
    is a note on the pages and a line in train.log, and stays as it was. Returns these notes.
    """
    notes = gallery.draw(report, run, config, model, test, training) if figures else []
    for path, template in ((run.report_html, "report.html.j2"), (run.report_md, "report.md.j2")):
        if note := gallery.attempt(path, partial(pages.write, template, report, run, config, notes)):
            notes.append(note)
    return notes


def conclude(
    report: Report, run: RunDir, config: Config, model: Any, test: ImageSource, training: ImageSource
) -> Report:
    """The end of a run: its numbers first, then what shows them, and at last its status "completed".

    A run that is killed in between is not finished, and `resume=` does this once more.
    """
    writer.write(report, run)
    if run.figures.exists():
        shutil.rmtree(run.figures)  # of the run before it was extended
    completed = dataclasses.replace(report, status="completed")
    tell(completed, run, config, model, test, training, config.figures)
    writer.write(completed, run)
    return completed


@contextmanager
def told_if_it_ends(config: Config, run: RunDir, split: dict[str, int], parameters: int) -> Iterator[None]:
    """Leaves a report of the epochs so far if training ends with an error, or is stopped.

    A run that was finished once and is extended keeps the report that it has, until it is finished again.
    """
    try:
        yield
    except Exception as error:
        status = "interrupted" if isinstance(error, Interrupted) else "failed"
        reason = str(error) if isinstance(error, VitTrainError) else f"unexpected {type(error).__name__}: {error}"
        if writer.has_test(run):
            raise
        with suppress(OSError):  # of a full disk, say, which may be what `error` is about
            report = writer.of_training(config, run, split, parameters, history.read(run.history))
            report = dataclasses.replace(report, status=status, error=reason)
            writer.write(report, run)
            tell(report, run, config, figures=config.figures)
        raise
