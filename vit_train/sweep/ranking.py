"""Which jobs of a sweep did best, and how much the seed matters; the test set never decides."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from vit_train.config.compose import load_config
from vit_train.console import duration
from vit_train.sweep.plan import Job, Sweep

REPEATED = ("seed", "dataset.fold")  # what is varied to measure one thing more than once
FOLDS_NOTE = (
    "Folds share most of what they learn from, so their accuracies are not independent: the 95 % interval of the mean "
    "is Student's t with the variance times 1/runs + 1/(folds - 1), after Nadeau and Bengio (2003)."
)
_GAP = 3  # characters between two columns


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (None of one run) of accuracies over seeds, folds or both.

    None where nothing is measured. `validation_interval` is half of the mean's 95 % interval over folds.
    """

    varied: dict[str, str]  # without seed and fold
    runs: int
    validation_mean: float
    validation_std: float | None
    test_mean: float | None
    test_std: float | None
    validation_interval: float | None = None


def ranked(sweep: Sweep) -> list[Job]:
    """Completed jobs, the highest validation accuracy first."""
    completed = [job for job in sweep.jobs if job.state == "completed"]
    return sorted(completed, key=lambda job: -job.result["validation_accuracy"])


def spreads(sweep: Sweep) -> list[Spread]:
    """For a sweep over seeds or folds, one for each combination of what else varies, the best mean first."""
    groups: dict[tuple[tuple[str, str], ...], list[Job]] = {}
    for job in ranked(sweep) if set(REPEATED) & set(sweep.keys) else []:
        rest = tuple((key, value) for key, value in job.varied.items() if key not in REPEATED)
        groups.setdefault(rest, []).append(job)
    found = []
    for varied, jobs in groups.items():
        validation = [job.result["validation_accuracy"] for job in jobs]
        test = [job.result["test_accuracy"] for job in jobs if job.result["test_accuracy"] is not None]
        mean, deviation = _spread(validation)
        half = None
        if deviation is not None and (count := folds(sweep, jobs[0])) is not None:
            half = half_of_interval(deviation, len(jobs), count)
        test_mean, test_std = _spread(test) if test else (None, None)
        found.append(Spread(dict(varied), len(jobs), mean, deviation, test_mean, test_std, half))
    return sorted(found, key=lambda spread: -spread.validation_mean)


def folds(sweep: Sweep, job: Job) -> int | None:
    """How many folds there are, of which a job holds one out; None if the sweep does not vary that."""
    return load_config(job.overrides, sweep.config).dataset.folds if "dataset.fold" in sweep.keys else None


def half_of_interval(deviation: float, runs: int, folds: int | None = None) -> float:
    """Half of Student's 95 % interval of the mean of `runs` values, 2 or more, with the deviation of a sample.

    Over folds it is with the variance of C. Nadeau and Y. Bengio (2003), since they share what they learn from.
    """
    from scipy.special import stdtrit

    shared = 1 / (folds - 1) if folds else 0
    return float(stdtrit(runs - 1, 0.975)) * deviation * math.sqrt(1 / runs + shared)


def _spread(values: list[float]) -> tuple[float, float | None]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def unfinished(sweep: Sweep) -> list[Job]:
    """Jobs without a result, though they should have one."""
    return [job for job in sweep.jobs if job.state not in ("completed", "pruned")]


def pruned(sweep: Sweep) -> list[Job]:
    """Jobs that a search has stopped."""
    return [job for job in sweep.jobs if job.state == "pruned"]


def search_summary(sweep: Sweep) -> str:
    """What a search has brought, in a sentence; "" for a grid."""
    if not sweep.trials or not ranked(sweep):
        return ""
    text = f"{len(pruned(sweep))} of {len(sweep.jobs)} runs were stopped as hopeless"
    best, first = ranked(sweep)[0], sweep.jobs[0]
    if first.state != "completed" or not sweep.begins_as_it_is:
        return f"{text}."
    gain = best.result["validation_accuracy"] - first.result["validation_accuracy"]
    found = f"run {best.number} is {100 * gain:.2f} points better than" if gain > 0 else "no run is better than"
    return f"{text}; on validation, {found} run 1, which has the settings that the search began with."


def why(sweep: Sweep, job: Job) -> str:
    """Why a job has no result, and where it says more."""
    log = f"; log: {sweep.log(job)}" if sweep.log(job).exists() else ""  # none if its config was wrong
    return f"{job.reason or 'was stopped and can be resumed'}{log}"


def labels(keys: Sequence[str]) -> list[str]:
    """The last part of each key, or all of it where another has the same last part."""
    last = [key.split(".")[-1] for key in keys]
    return [name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)]


def name_of(label: str) -> str:
    """A label as a person says it, for an axis: `learning_rate` is a learning rate."""
    return label.replace("_", " ")


def job_table(keys: Sequence[str], jobs: Sequence[Job], room: int = 1000) -> tuple[list[str], list[list[str]], int]:
    """Header and rows of the leaderboard as text, and how many columns are no figures.

    What varies is in one column if each on its own would take more than `room` characters.
    """
    header = ["run", *labels(keys), "val", "test", "params", "time"]
    rows = [[str(job.number), *job.varied.values(), *_figures(job)] for job in jobs]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    if sum(widths) + _GAP * (len(widths) - 1) <= room:
        return header, rows, 1 + len(keys)
    header[1 : 1 + len(keys)] = ["what varies"]
    return header, [[str(job.number), job.name, *_figures(job)] for job in jobs], 2


def _figures(job: Job) -> list[str]:
    found = job.result
    shares = [_percent(found["validation_accuracy"]), _percent(found["test_accuracy"])]
    return [*shares, f"{found['parameters']:,}", duration(found["seconds"])]


def spread_table(found: Sequence[Spread]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of means and standard deviations over seeds or folds as text."""
    by_fold = any(each.validation_interval is not None for each in found)
    more = ["val 95 %"] if by_fold else []
    header = [*labels(list(found[0].varied)), "runs" if by_fold else "seeds", "val mean", *more]
    rows = []
    for each in found:
        half = [] if not by_fold else [f"± {_percent(each.validation_interval)}"]
        figures = (each.validation_std, each.test_mean, each.test_std)
        first = [*each.varied.values(), str(each.runs), _percent(each.validation_mean)]
        rows.append([*first, *half, *map(_percent, figures)])
    return [*header, "val std", "test mean", "test std"], rows


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"
