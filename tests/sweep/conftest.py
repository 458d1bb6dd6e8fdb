"""Sweeps to look at: planned for real, their runs made of a few files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY
from runs.conftest import config_yaml, row

from vit_train.rundir import history
from vit_train.rundir.layout import RunDir
from vit_train.sweep import plan
from vit_train.sweep.plan import Job, Sweep


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., Sweep]:
    """Plans a sweep of tiny runs: `planned("seed=1,2")`."""
    return lambda *overrides, trials=None: plan.plan([*TINY, f"outputs={tmp_path}", *overrides], None, trials)


@pytest.fixture
def ran() -> Callable[..., RunDir]:
    """Leaves what a job's process would: a row of history for each accuracy, and a report if `test` is given."""

    def make(sweep: Sweep, job: Job, validation: list[float], test: float | None = None) -> RunDir:
        run = RunDir.create(str(sweep.path / job.folder), "digits", "vit")
        run.config.write_text(config_yaml(*TINY))
        if validation:
            history.write([row(epoch, share) for epoch, share in enumerate(validation, 1)], run.history)
        if test is not None:
            report = {"status": "completed", "parameters": 2025, "best_epoch": 1, "training": {"seconds": 61.0}}
            scores = {"validation": {"accuracy": max(validation)}, "test": {"accuracy": test}}
            run.report_json.write_text(json.dumps(report | scores))
        return run

    return make
