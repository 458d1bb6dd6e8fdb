"""`vit-runs repair`: the files of a finished run that follow from its checkpoint, once more."""

import argparse
import dataclasses
from pathlib import Path

from vit_train.config.schema import Config
from vit_train.console import put
from vit_train.errors import ConfigError
from vit_train.report.writer import Report
from vit_train.rundir import checkpoint, history, records
from vit_train.rundir.find import find_run
from vit_train.rundir.layout import RunDir
from vit_train.text import to_resume


def run(options: argparse.Namespace) -> int:
    """Makes them and prints the run directory."""
    found = find_run(options.run, options.outputs)
    repair(found.path)
    put(str(found.path))
    return 0


def repair(path: Path) -> Report:
    """Makes model.keras, history.csv, predictions.csv, report, pages and figures again, as `resume=` would end the run.

    That takes config.yaml, a checkpoint and the data set; every number is what it was. Steps are trained only if the
    newest checkpoint is damaged, from the one before it. Raises ConfigError if the run has not come to its end, and
    CheckpointError if there is no sound checkpoint.
    """
    return tell_again(path, f"vit-runs repair {path}", records.load_config(RunDir(path)))


def tell_again(path: Path, command: str, config: Config) -> Report:
    """The end of a run once more, with its config or one that differs in what cannot change its weights."""
    run = RunDir(path)
    found, _ = checkpoint.load(run.checkpoints)
    rows = found.progress["rows"] if found else []
    if not (history.at_end(rows, config.train) or run.finished):
        raise ConfigError(f"{path}: has not come to its end; continue with vit-train {to_resume(path)}")
    from vit_train.run import train

    return train(dataclasses.replace(config, resume=str(path)), command)
