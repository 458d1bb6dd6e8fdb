"""`vit-train -m`: the order of a sweep."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from vit_train.config import plugins
from vit_train.config.schema import SweepConfig
from vit_train.console import put, say
from vit_train.errors import ConfigError
from vit_train.rundir.layout import RunDir
from vit_train.sweep import board, launchers, plan, results, settings
from vit_train.sweep.display import display
from vit_train.sweep.launchers import Launcher
from vit_train.sweep.plan import Sweep
from vit_train.sweep.pool import Pool
from vit_train.text import command, setting


def run(overrides: Sequence[str], config: str | None) -> int:
    """Runs or continues with a sweep and returns the exit code; the last line on stdout is its folder.

    Raises ConfigError, and makes nothing, if no job can run.
    """
    options, overrides = settings.read(overrides)
    if options.lr_range:
        from vit_train.sweep import lr_range  # which loads Matplotlib

        return lr_range.run(overrides, config, options)
    if options.trials:
        _optuna().space(overrides)  # is wrong, if it is, before there is a folder
    with launchers.opened(options.launcher) as launcher:
        sweep = _found(options, overrides, config) or plan.plan(overrides, config, options.trials)
        with RunDir(sweep.path).locked():
            _take_up(sweep, options, launcher)
            return _run(sweep, options.jobs, launcher)


def _run(sweep: Sweep, jobs: int, launcher: Launcher) -> int:
    search = _optuna().Bayesian(sweep) if sweep.trials else None
    pool = Pool(sweep, launcher.shares(jobs), launcher, search)
    with display(sweep) as show:
        number = pool.run(board.renewed(sweep, show))
    if number is not None:
        board.write(sweep)  # or its page would say that it is running
        say(f"the sweep is stopped; continue with: {command('-m', setting('sweep.resume', sweep.path))}")
        return 128 + number
    board.write(sweep)
    board.show(sweep)
    put(str(sweep.path))
    return 0 if all(job.state in ("completed", "pruned") for job in sweep.jobs) else 1


def _optuna() -> ModuleType:
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("sweep.trials: a search needs Optuna; pip install 'vit-train[optuna]'")
    return importlib.import_module("vit_train.sweep.search")


def _found(options: SweepConfig, overrides: list[str], config: str | None) -> Sweep | None:
    """The sweep to continue with, or None to start one."""
    if options.resume is None:
        return None
    if options.resume != "auto":
        sweep = plan.load(Path(options.resume))
        if (overrides or config) and (overrides, config) != (sweep.overrides, sweep.config):
            raise ConfigError(
                f"sweep.resume={options.resume}: is a sweep of {' '.join(sweep.overrides)}, which cannot change; "
                "leave out all other arguments, or start a new sweep"
            )
        return sweep
    return plan.newest(overrides, config, options.trials is not None)


def _take_up(sweep: Sweep, options: SweepConfig, launcher: Launcher) -> None:
    """Lets wait what was not completed: a sweep that was killed could not note how its jobs ended."""
    if options.trials and sweep.trials is None:
        raise ConfigError(f"sweep.trials={options.trials}: {sweep.path} runs every combination and cannot be a search")
    plugins.require_same(sweep.plugins, str(sweep.path))
    sweep.trials = options.trials or sweep.trials
    sweep.prune = sweep.prune if options.prune is None else options.prune
    for job in sweep.jobs:
        run = sweep.run(job)
        if run and run.in_use and not launcher.holds(sweep.log(job)):
            raise ConfigError(
                f"sweep.resume={sweep.path}: run {job.number} is still in progress in {run.path}; wait until it has "
                "stopped"
            )
        if found := results.result(run):
            job.state, job.result, job.reason = "completed", found, None
        elif job.state not in ("failed", "pruned") or (job.state == "failed" and options.retry_failed):
            job.state = "waiting"
    sweep.save()
