"""Going on with sweeps whose runs have all ended, so that no process is started; the others are in end_to_end/."""

import pytest

from vit_train.errors import CheckpointError, ConfigError
from vit_train.sweep import command, plan, settings
from vit_train.sweep.launchers.local import LocalLauncher


def options(*arguments):
    return settings.read(arguments)[0]


@pytest.fixture
def ended(planned, ran):
    """Two completed runs whose sweep was killed before it noted them, and one with a wrong config."""
    sweep = planned("model.patch_size=2,4,3")
    for job, share in zip(sweep.jobs[:2], (0.5, 0.75), strict=True):
        ran(sweep, job, [share], test=share)
        job.state = "running"
    sweep.save()
    return sweep


def test_finished_jobs_are_not_run_again(ended, capsys):
    assert command.run([f"sweep.resume={ended.path}"], None) == 1
    stdout, stderr = capsys.readouterr()
    assert stdout.splitlines()[-1] == str(ended.path)
    assert "run 3 (patch_size=3): model.patch_size=3: does not divide" in stderr
    assert [job.state for job in plan.load(ended.path).jobs] == ["completed", "completed", "failed"]
    assert {path.name for path in ended.path.iterdir()} >= {"sweep.csv", "sweep.html", "sweep.json"}


def test_auto_finds_the_sweep_of_the_same_command(ended, capsys):
    assert command.run([*ended.overrides, "sweep.resume=auto", "sweep.jobs=2"], None) == 1
    assert capsys.readouterr().out.splitlines()[-1] == str(ended.path)


def test_all_completed_is_exit_code_0(planned, ran):
    sweep = planned("seed=1,2")
    for job in sweep.jobs:
        ran(sweep, job, [0.5], test=0.5)
    assert command.run([f"sweep.resume={sweep.path}"], None) == 0


def test_which_jobs_run_when_going_on(planned, ran):
    sweep = planned("seed=range(5)")
    for job, state in zip(sweep.jobs, ("running", "interrupted", "failed", "completed", "completed"), strict=True):
        job.state = state
    ran(sweep, sweep.jobs[3], [0.5], test=0.5)  # and the last one's run directory was deleted
    command._take_up(sweep, options(), LocalLauncher())
    assert [job.state for job in sweep.jobs] == ["waiting", "waiting", "failed", "completed", "waiting"]
    command._take_up(sweep, options("sweep.retry_failed=true"), LocalLauncher())
    assert sweep.jobs[2].state == "waiting"


def test_a_pruned_job_does_not_run_again(planned):
    sweep = planned("seed=1,2")
    sweep.jobs[0].state = "pruned"
    command._take_up(sweep, options("sweep.retry_failed=true"), LocalLauncher())
    assert [job.state for job in sweep.jobs] == ["pruned", "waiting"]


def test_a_search_goes_on_as_it_began_or_as_it_is_told(planned):
    sweep = planned("seed=1,2", trials=5)
    sweep.prune = False
    command._take_up(sweep, options(), LocalLauncher())
    assert (sweep.trials, sweep.prune) == (5, False)
    command._take_up(sweep, options("sweep.trials=9", "sweep.prune=true"), LocalLauncher())
    assert (sweep.trials, sweep.prune) == (9, True)
    with pytest.raises(ConfigError, match=r"sweep.trials=9: .* runs every combination and cannot be a search"):
        command._take_up(planned("seed=1,2"), options("sweep.trials=9"), LocalLauncher())


def test_without_optuna_a_search_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"sweep.trials: a search needs Optuna; pip install 'vit-train\[optuna\]'"):
        command.run(["sweep=optuna"], None)


def test_a_search_of_which_all_is_done_says_what_it_brought(planned, ran, capsys):
    sweep = planned("seed=1,2", trials=1)
    ran(sweep, sweep.jobs[0], [0.5], test=0.5)
    assert command.run([f"sweep.resume={sweep.path}"], None) == 0
    assert "0 of 1 runs were stopped as hopeless; on validation, no run is better than run 1" in capsys.readouterr().out


def test_other_arguments_are_refused(ended):
    with pytest.raises(ConfigError, match=r"is a sweep of .*, which cannot change; leave out all other arguments"):
        command.run([f"sweep.resume={ended.path}", "seed=1,2"], None)


def test_a_run_that_goes_on_is_left_alone(planned, ran):
    sweep = planned("seed=1,2")
    run = ran(sweep, sweep.jobs[1], [0.5])
    with run.locked(), pytest.raises(ConfigError, match=r"run 2 is still in progress in .*; wait until it has stopped"):
        command.run([f"sweep.resume={sweep.path}"], None)


def test_a_second_sweep_in_the_folder_is_refused(ended):
    from vit_train.rundir.layout import RunDir

    with RunDir(ended.path).locked(), pytest.raises(CheckpointError, match="another process"):
        command.run([f"sweep.resume={ended.path}"], None)
