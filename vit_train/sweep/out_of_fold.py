"""predictions.csv of a sweep over folds: what is said of each image by the run that has not learned from it."""

import numpy as np

from vit_train.console import say
from vit_train.errors import CheckpointError
from vit_train.files import is_there
from vit_train.rundir import predictions, records
from vit_train.sweep.plan import Job, Sweep
from vit_train.sweep.ranking import folds, ranked, spreads


def write(sweep: Sweep) -> None:
    """Writes predictions.csv with every image once, in the order of the data set, if all folds are there.

    If more than folds vary, those of the best mean on validation are taken, and of several seeds the first.
    """
    jobs = _chosen(sweep)
    if not jobs:
        return
    number = folds(sweep, jobs[0])
    runs = [run for job in jobs if (run := sweep.run(job)) and is_there(run.out_of_fold)]
    if len(runs) != number:
        say(f"note: {len(runs)} of {number} folds are there, so there is no predictions.csv in {sweep.path}")
        return
    try:
        parts = [predictions.read(run.out_of_fold) for run in runs]
        rows = np.concatenate([predictions.read_rows(run.out_of_fold) for run in runs])
        files = [predictions.read_files(run.out_of_fold) for run in runs]
        names = records.read_environment(runs[0])["class_names"]
    except (OSError, ValueError, KeyError, CheckpointError) as error:
        say(f"note: there is no predictions.csv in {sweep.path}: {error}")
        return
    order = np.argsort(rows)
    if not np.array_equal(rows[order], np.arange(len(rows))):
        say(f"note: the folds are not of one data set, so there is no predictions.csv in {sweep.path}")
        return
    paths = np.array([path for part in files for path in part or ()], object)
    found = predictions.take(predictions.join(parts), order)
    predictions.write(found, names, sweep.path / "predictions.csv", paths[order] if len(paths) else None)


def _chosen(sweep: Sweep) -> list[Job]:
    """The jobs of the best combination but for the fold."""
    found = spreads(sweep)
    if "dataset.fold" not in sweep.keys or not found:
        return []
    jobs = [job for job in ranked(sweep) if found[0].varied.items() <= job.varied.items()]
    first = min(jobs, key=lambda job: job.number).varied.get("seed")
    return [job for job in jobs if job.varied.get("seed") == first]
