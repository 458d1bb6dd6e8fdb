from pathlib import Path

import pytest

from vit_train.errors import ConfigError
from vit_train.rundir.find import all_runs, find_run


@pytest.fixture
def outputs(made, tmp_path):
    for name in ("18-00-00.1-digits-vit", "18-00-30.2-cifar10-vit", "19-30-00.3-digits-vit"):
        made(name)
    (tmp_path / "outputs" / "2026-11-22" / "notes").mkdir()
    (tmp_path / "outputs" / "README.md").write_text("runs")
    return tmp_path / "outputs"


def test_runs_come_by_age_and_other_folders_are_none(outputs):
    assert [run.path.name[:8] for run in all_runs(outputs)] == ["18-00-00", "18-00-30", "19-30-00"]
    assert all_runs(outputs / "absent") == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("latest", "19-30-00.3-digits-vit"),
        ("18-00-3", "18-00-30.2-cifar10-vit"),
        ("11-22/19-30", "19-30-00.3-digits-vit"),
        ("cifar", "18-00-30.2-cifar10-vit"),
    ],
)
def test_a_part_that_no_other_name_has_is_enough(outputs, text, name):
    assert find_run(text, outputs).path == outputs / "2026-11-22" / name


def test_runs_of_a_sweep_are_found_by_their_own_name_and_by_their_job(outputs, made):
    job = made("18-20-00.0-sweep/jobs/000-seed=1/2026-11-22/18-20-05.0-digits-vit")
    made("18-20-00.0-sweep/jobs/001-seed=2/2026-11-22/18-40-00.0-digits-vit")
    assert len(all_runs(outputs)) == 3
    names = [run.path.name[:8] for run in all_runs(outputs, sweeps=True)]
    assert names == ["18-00-00", "18-00-30", "18-20-05", "18-40-00", "19-30-00"]
    for text in ("18-20-05", "000-seed"):
        assert find_run(text, outputs).path == job.path
    assert find_run("latest", outputs).path.name.startswith("19-30-00")


def test_a_path_needs_no_outputs(outputs, monkeypatch):
    monkeypatch.chdir(outputs)
    assert find_run("2026-11-22/18-00-00.1-digits-vit/", Path("elsewhere")).config.is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digits", "digits: could be 2026-11-22/18-00-00.1-digits-vit, 2026-11-22/19-30-00.3-digits-vit; give more of"),
        ("torch", "torch: is no run, and none of the 3 in {} has it in its name; vit-runs list shows them all"),
    ],
)
def test_a_name_that_is_not_one_run_is_a_sentence(outputs, text, message):
    with pytest.raises(ConfigError) as error:
        find_run(text, outputs)
    assert str(error.value).startswith(message.format(outputs))


def test_of_many_candidates_the_newest_are_named(made, tmp_path):
    for second in range(9):
        made(f"18-00-0{second}-digits-vit")
    with pytest.raises(ConfigError, match=r"could be 2026-11-22/18-00-04-.* and 4 older ones; give more of the name$"):
        find_run("digits", tmp_path / "outputs")


def test_without_runs_there_is_no_latest(tmp_path):
    with pytest.raises(ConfigError, match=r"none of the 0 in .*; --outputs DIR names another folder$"):
        find_run("latest", tmp_path)


def test_a_folder_that_cannot_be_looked_into_is_noted(outputs, monkeypatch, capsys):
    closed, look = outputs / "2026-11-22" / "18-00-30.2-cifar10-vit", Path.is_file

    def is_file(path):
        if path.parent == closed:
            raise PermissionError(13, "Permission denied")
        return look(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    assert [run.path.name[:8] for run in all_runs(outputs)] == ["18-00-00", "19-30-00"]
    assert capsys.readouterr().err == f"note: {closed}: cannot be read (Permission denied)\n"
    with pytest.raises(ConfigError, match="is no run, and none of the 2 in"):
        find_run(str(closed), outputs)


def test_a_name_of_any_length_is_a_sentence(outputs):
    with pytest.raises(ConfigError, match="x: is no run, and none of the 3 in"):
        find_run("x" * 300, outputs)
