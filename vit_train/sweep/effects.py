"""What each value of each key changes, others equal: paired differences within a grid."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from vit_train.sweep.plan import Job, Sweep
from vit_train.sweep.ranking import REPEATED, half_of_interval, labels, ranked


@dataclass(frozen=True)
class Effect:
    """What `value` of `key` adds to validation accuracy over `base`, a fraction, with the half of its 95 % interval.

    `half` is None where there are fewer than two pairs.
    """

    key: str
    base: str
    value: str
    mean: float
    half: float | None
    pairs: int


def effects(sweep: Sweep) -> list[Effect]:
    """Of each key but seed and fold, values beside the first one given, over the pairs of runs that differ in it only.

    The interval is Student's, of the mean of the paired differences; their seeds are the same, too. A search has few
    such pairs, or none. Over folds, which share most of their images, it would be too narrow, so there is none.
    """
    jobs, folds = sorted(ranked(sweep), key=lambda job: job.number), "dataset.fold" in sweep.keys
    given = {key: list(dict.fromkeys(job.varied[key] for job in sweep.jobs)) for key in sweep.keys}
    return [effect for key in given if key not in REPEATED for effect in _of(key, jobs, folds, given[key])]


def _of(key: str, jobs: list[Job], folds: bool, values: list[str]) -> list[Effect]:
    accuracies = {tuple(job.varied.items()): job.result["validation_accuracy"] for job in jobs}
    found = []
    base = values[0]
    for value in values[1:]:
        differences = [
            accuracies[other] - accuracy
            for varied, accuracy in accuracies.items()
            if dict(varied)[key] == base
            and (other := tuple((name, value if name == key else each) for name, each in varied)) in accuracies
        ]
        if differences:
            pairs = len(differences)
            half = None if folds or pairs < 2 else half_of_interval(statistics.stdev(differences), pairs)
            found.append(Effect(key, base, value, statistics.fmean(differences), half, pairs))
    return found


def effect_table(found: Sequence[Effect]) -> tuple[list[str], list[list[str]], int]:
    """Header and rows of what each value changes as text, and how many columns are no figures."""
    header = ["key", "value", "beside", "difference", "95 % interval", "pairs"]
    names = dict(zip(keys := list(dict.fromkeys(each.key for each in found)), labels(keys), strict=True))
    rows = []
    for each in found:
        ends = [] if each.half is None else [each.mean - each.half, each.mean + each.half]
        interval = " to ".join(f"{100 * end:+.2f}" for end in ends) or "-"
        figures = [f"{100 * each.mean:+.2f}", interval, str(each.pairs)]
        rows.append([names[each.key], each.value, each.base, *figures])
    return header, rows, 3
