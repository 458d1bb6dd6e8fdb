import json
from pathlib import Path

import pytest

from vit_train.errors import CheckpointError, ConfigError
from vit_train.sweep import plan


def test_each_job_has_a_number_a_folder_and_what_varies(planned, tmp_path):
    sweep = planned("seed=range(1,3)", "model.head_units=[],[8,4]")
    assert sweep.keys == ["seed", "model.head_units"]
    assert [job.name for job in sweep.jobs][:2] == ["seed=1, head_units=[]", "seed=1, head_units=[8,4]"]
    assert [job.folder for job in sweep.jobs][:2] == ["jobs/1-seed-1-head_units", "jobs/2-seed-1-head_units-_8_4"]
    assert {(job.state, job.epochs) for job in sweep.jobs} == {("waiting", 2)}
    assert sweep.path.parent.parent == tmp_path
    assert sweep.path.name.endswith("-sweep")


def test_folders_sort_as_the_jobs_and_have_names_that_every_system_takes(planned):
    sweep = planned("optimizer.groups=['a/b'],['" + "x" * 99 + "']", "seed=range(5)")
    folders = [job.folder for job in sweep.jobs]
    assert folders == sorted(folders)
    assert all(len(Path(folder).name) < 70 and folder.count("/") == 1 for folder in folders)


def test_a_bad_value_fails_its_jobs_before_any_starts(planned):
    sweep = planned("model.patch_size=3,4")
    bad, good = sweep.jobs
    assert (bad.state, bad.exit_code, good.state) == ("failed", 2, "waiting")
    assert bad.reason.startswith("model.patch_size=3: does not divide model.image_size=8")


def test_without_one_sound_config_nothing_is_made(planned, tmp_path):
    with pytest.raises(ConfigError, match="there is no key"):
        planned("model.depht=1,2")
    assert not list(tmp_path.iterdir())


def test_a_key_cannot_vary_twice(planned):
    with pytest.raises(ConfigError, match="seed: is varied twice; give all its values in one list"):
        planned("seed=1,2", "+seed=3,4")


def test_a_sweep_is_read_back_as_it_was_written(planned):
    sweep = planned("seed=1,2", "model.patch_size=3,4")
    sweep.jobs[1].state, sweep.jobs[1].result = "completed", {"validation_accuracy": 0.5}
    sweep.save(leaderboard=[2])
    assert plan.load(sweep.path) == sweep
    assert json.loads((sweep.path / "sweep.json").read_text())["leaderboard"] == [2]


def test_the_newest_of_the_same_command_is_found(planned):
    planned("seed=1,2")
    second, other = planned("seed=1,2"), planned("seed=1,3")
    assert plan.newest(second.overrides, None, search=False).path == second.path
    assert plan.newest(other.overrides, None, search=False).path == other.path
    assert plan.newest([*second.overrides, "train.epochs=3"], None, search=False) is None
    assert plan.newest(second.overrides, None, search=True) is None


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (None, ConfigError, "is not a sweep, it has no sweep.json"),
        *(
            (text, CheckpointError, r"sweep.json: cannot be read \(")
            for text in ("", "{", "[]", "{}", "null", "\0\0", "[" * 9**6)
        ),
        ('{"jobs": [{"number": 1}]}', CheckpointError, r"sweep.json: cannot be read \("),
    ],
)
def test_a_folder_that_is_no_sweep_is_refused(tmp_path, text, error, message):
    if text is not None:
        (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(error, match=message):
        plan.load(tmp_path)


def test_an_older_sweep_is_in_todays_names_and_a_newer_one_is_noted(planned, capsys):
    sweep = planned("seed=1,2", "train.skip_nonfinite_steps=1")
    file = sweep.path / "sweep.json"
    values = json.loads(file.read_text().replace("skip_nonfinite_steps", "skip_bad_steps"))
    del values["version"], values["prune"]
    file.write_text(json.dumps(values))
    assert plan.load(sweep.path) == sweep
    file.write_text(
        json.dumps(values | {"version": 9, "later": 1, "jobs": [job | {"later": 1} for job in values["jobs"]]})
    )
    assert plan.load(sweep.path) == sweep
    assert capsys.readouterr().err == f"note: {file}: is of version 9, this vit-train of 2\n"


def test_a_sweep_that_cannot_be_read_is_passed_over(planned, capsys):
    sweep, broken = planned("seed=1,2"), planned("seed=1,2")
    (broken.path / "sweep.json").write_text("{")
    assert plan.newest(sweep.overrides, None, search=False).path == sweep.path
    assert capsys.readouterr().err.startswith(f"note: {broken.path}/sweep.json: cannot be read (")
