"""Bayesian search: what the next job of a sweep tries, and which running one is hopeless, as Optuna sees it.

There is no study on disk: sweep.json and the jobs' history.csv say all that Optuna has to know, so each question is put
to a study made of them. A search can be killed at any moment, and no two files can disagree.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, cast

import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from vit_train.config.compose import choices, parse
from vit_train.errors import ConfigError
from vit_train.sweep import results
from vit_train.sweep.plan import Job, Sweep

_RANDOM = 10  # jobs before there is a model of the results, Optuna's default
_UNPRUNED = 5  # jobs that are completed before any is held against them, Optuna's default
_KEPT = 75.0  # per cent; with Optuna's default, 50, and survivors to be held against, 14 of 20 went
_TRIES = 10  # to find settings that no job has had
_STATES = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # of constant_liar


def space(overrides: Sequence[str]) -> dict[str, BaseDistribution]:
    """Where to search: `interval(A,B)` and `int(interval(A,B))`, both also in `tag(log,...)`, `range`, lists, globs.

    Raises ConfigError for one that cannot be searched.
    """
    parsed = [(text, parse(text, several=True)) for text in overrides]
    return {each.key_or_group: _distribution(text, each) for text, each in parsed if each.is_sweep_override()}


def _distribution(text: str, override: Override) -> BaseDistribution:
    value: Any = override.value()
    try:
        if isinstance(value, IntervalSweep):
            bounds: Any = value.start, value.end
            kind: Any = IntDistribution if all(isinstance(bound, int) for bound in bounds) else FloatDistribution
            return cast(BaseDistribution, kind(*bounds, log="log" in value.tags))
        names = [choice.split("=", 1)[1] for choice in choices(text)]
        if isinstance(value, RangeSweep) and all(isinstance(n, int) for n in (value.start, value.stop, value.step)):
            numbers = sorted(map(int, names))
            return IntDistribution(numbers[0], numbers[-1], step=abs(int(value.step)))
    except ValueError as error:
        raise ConfigError(f"{text}: cannot be searched: {error}") from None
    return CategoricalDistribution(names)


class Bayesian:
    """A search for the highest validation accuracy, by tree-structured Parzen estimators (Bergstra et al., 2011)."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.space = space(sweep.overrides)
        self.epochs: dict[int, int] = {}  # of each job, when it was last looked at

    def next_job(self) -> Job | None:
        """One more job, with settings that none has had if such are found; None once there are enough."""
        while len(self.sweep.jobs) < self.sweep.total:
            job = self.sweep.add(self._suggest(), self.sweep.total)
            if job.state == "waiting":
                return job
        return None

    def _suggest(self) -> dict[str, str]:
        """What the next job varies, as a user would type it; the same for the same results so far."""
        study, tried = self._study(), [job.varied for job in self.sweep.jobs]
        asked = [study.ask(self.space).params for _ in range(_TRIES)]
        found = [{key: _text(value, self.space[key]) for key, value in values.items()} for values in asked]
        return next((varied for varied in found if varied not in tried), found[0])

    def hopeless(self, job: Job) -> bool:
        """Whether a job would be in the worst quarter of the completed ones by its best epoch, after as many epochs.

        Not in the first quarter of its epochs, while the learning rate rises.
        """
        if not self.sweep.prune:
            return False
        epochs = len(results.accuracies(self.sweep.run(job)))
        if epochs == self.epochs.get(job.number, 0):
            return False
        self.epochs[job.number] = epochs
        study = self._study()
        pruner = optuna.pruners.PercentilePruner(
            _KEPT, n_startup_trials=_UNPRUNED, n_warmup_steps=math.ceil(job.epochs / 4)
        )
        return pruner.prune(study, study.get_trials()[self.sweep.jobs.index(job)])

    def _study(self) -> optuna.Study:
        # The seed moves on, or each new study would draw what the one before drew.
        sampler = optuna.samplers.TPESampler(seed=len(self.sweep.jobs), n_startup_trials=_RANDOM, constant_liar=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([_trial(self.sweep, job, self.space) for job in self.sweep.jobs])
        return study


def _trial(sweep: Sweep, job: Job, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    """What Optuna shall know of a job; of a value outside the space, as the first job may have, nothing."""
    values = {key: _value(text, distributions[key]) for key, text in job.varied.items()}
    inside = {key: value for key, value in values.items() if value is not None}
    return optuna.trial.create_trial(
        state=_STATES.get(job.state, TrialState.RUNNING),
        params=inside,
        distributions={key: distributions[key] for key in inside},
        value=job.result["validation_accuracy"] if job.state == "completed" else None,
        intermediate_values=dict(enumerate(results.accuracies(sweep.run(job)), 1)),
    )


def _text(value: Any, distribution: BaseDistribution) -> str:
    """Four digits are enough for a person to read, as long as they stay within the bounds."""
    if not isinstance(distribution, FloatDistribution):
        return str(value)
    rounded = float(f"{value:.4g}")
    return repr(min(max(rounded, distribution.low), distribution.high))


def _value(text: str, distribution: Any) -> Any:
    """What Optuna takes for this text, or None if that is outside the space."""
    if isinstance(distribution, CategoricalDistribution):
        return text if text in distribution.choices else None
    whole = isinstance(distribution, IntDistribution)
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        return None
    inside = distribution.low <= value <= distribution.high
    return value if inside and not (whole and (value - distribution.low) % distribution.step) else None
