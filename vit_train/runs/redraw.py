"""`vit-runs figures`: figures and pages of a run that has ended, once more."""

import argparse
import dataclasses
from pathlib import Path

from vit_train.console import logged_to, put, say
from vit_train.errors import DataError
from vit_train.machine import backend
from vit_train.report import writer
from vit_train.report.writer import Report
from vit_train.rundir import records
from vit_train.rundir.environment import data_root, require_same_data
from vit_train.rundir.find import find_run
from vit_train.rundir.layout import RunDir


def run(options: argparse.Namespace) -> int:
    """Draws them and prints where they are."""
    found = find_run(options.run, options.outputs)
    redraw(found.path)
    put(str(found.figures))
    return 0


def redraw(path: Path) -> Report:
    """Makes figures/, report.md and report.html of the run directory `path` again, from what is in it.

    That is config.yaml, environment.json, history.csv, report.json and, if the run has come so far, predictions.csv and
    model.keras. Without its data set the figures that show images stay as they are. No number changes.

    Raises CheckpointError if there is no report.json, and ConfigError if this process runs Keras on another backend.
    """
    run = RunDir(path)
    report, config = writer.read(run), records.load_config(run)
    backend.configure(config.compute, config.seed)
    # These import Keras, as in `vit_train.run`.
    from vit_train import load_model
    from vit_train.data import sources, split
    from vit_train.report import story

    test = training = model = None
    with run.locked(), logged_to(run.log):
        if report.test is not None:
            model = load_model(run.model)
            try:
                root = data_root(run, config.dataset.root)
                here = dataclasses.replace(config, dataset=dataclasses.replace(config.dataset, root=root))
                dataset = sources.load_dataset(here)
                require_same_data(run, dataset.fingerprint)
                training, _ = split.split_validation(dataset, config.dataset.validation, config.seed)
                test = dataset.test
            except DataError as error:
                say(f"note: figures with images are not made again: {error}")
        story.tell(report, run, config, model, test, training)
    return report
