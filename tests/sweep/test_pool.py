import shlex

import pytest

from vit_train.config.compose import load_config, parse
from vit_train.sweep.pool import arguments


def test_a_job_that_has_no_run_yet_is_started(planned):
    sweep = planned("seed=1,2")
    *overrides, outputs = arguments(sweep, sweep.jobs[0])
    assert overrides == sweep.jobs[0].overrides
    assert parse(outputs).value() == str(sweep.path / "jobs/1-seed-1")
    sweep.config = "config.yaml"
    assert arguments(sweep, sweep.jobs[0])[:2] == ["--config", "config.yaml"]


def test_a_job_that_has_one_goes_on_with_the_newest(planned, ran):
    sweep = planned("seed=1,2")
    job = sweep.jobs[0]
    ran(sweep, job, [])
    run = ran(sweep, job, [0.5])
    (argument,) = arguments(sweep, job)
    assert parse(argument).value() == str(run.path)


def test_with_damaged_checkpoints_it_starts_anew(planned, ran):
    sweep = planned("seed=1,2")
    job = sweep.jobs[0]
    ran(sweep, job, [0.5])
    job.fail(4, "no sound checkpoint is left")
    assert arguments(sweep, job)[-1].startswith("outputs=")


@pytest.mark.parametrize("name", ["a b", "a,b=c", "it's", 'a"b', "ü[1]{2}", "back\\slash", "tail\\"])
def test_any_folder_comes_through_hydras_grammar(planned, tmp_path, name):
    sweep = planned("seed=1,2")
    sweep.path = tmp_path / name
    argument = shlex.split(shlex.join(arguments(sweep, sweep.jobs[0])))[-1]
    assert load_config([argument]).outputs == str(sweep.path / "jobs/1-seed-1")
