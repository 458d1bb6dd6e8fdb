"""`vit-runs figures`: figures and pages of a run that has ended, once more."""

import argparse
import dataclasses
from pathlib import Path

from vit_train.console import logged_to, put, say
from vit_train.errors import CheckpointError, DataError
from vit_train.machine import backend
from vit_train.report import writer
from vit_train.rundir import records
from vit_train.rundir.environment import require_same_data, with_data_from_here
from vit_train.rundir.find import find_run
from vit_train.rundir.layout import RunDir
from vit_train.runs.loading import load


def run(options: argparse.Namespace) -> int:
    """Draws them and prints where they are; the exit code is 4 if some could not be made and are as they were."""
    found = find_run(options.run, options.outputs)
    notes = redraw(found.path)
    put(str(found.figures))
    return CheckpointError.exit_code if notes else 0


def redraw(path: Path) -> list[str]:
    """Makes figures/, report.md and report.html of the run directory `path` again, from what is in it.

    That is config.yaml, environment.json, history.csv, report.json and, if the run has come so far, predictions.csv and
    model.keras. Without its data set the figures that show images stay as they are. No number changes.

    Returns a note for each file that could not be made and is as it was. Raises CheckpointError if there is no
    report.json or the run is in training, and ConfigError if this process runs Keras on another backend.
    """
    run = RunDir(path)
    with run.locked(), logged_to(run.log):
        report, config = writer.read(run), records.load_config(run)
        compute = dataclasses.replace(config.compute, batch_parts=1)  # no training, so all cores for each operation
        backend.configure(compute, config.seed)
        # These import Keras, as in `vit_train.run`.
        from vit_train.data import sources, split
        from vit_train.report import story

        notes: list[str] = []
        test = training = model = None
        if report.test is not None:
            try:
                model, _ = load(run, compute)
            except CheckpointError as error:
                notes.append(f"the figures of the model are not made again: {error}")
            try:
                dataset = sources.load_dataset(with_data_from_here(run, config))
                require_same_data(run, dataset.fingerprint)
                training, _ = split.training_and_validation(dataset, config.dataset, config.seed)
                test = dataset.test
            except DataError as error:
                say(f"note: figures with images are not made again: {error}")
        for note in notes:
            say(f"note: {note}")
        return notes + story.tell(report, run, config, model, test, training)
