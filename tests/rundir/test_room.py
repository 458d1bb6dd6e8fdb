import os
from types import SimpleNamespace

import pytest

from vit_train.errors import CheckpointError
from vit_train.rundir.layout import RunDir
from vit_train.rundir.room import bytes_of, require_room

MIB = 1 << 20


@pytest.fixture
def disk(monkeypatch):
    """A disk with so many MiB free."""

    def free(count):
        monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=count * MIB))

    return free


def test_bytes_are_those_of_float32():
    assert bytes_of([SimpleNamespace(shape=(3, 4)), SimpleNamespace(shape=())]) == 4 * 13


def test_a_new_run_needs_room_for_three_checkpoints_and_the_model(tmp_path, disk):
    """A checkpoint has weights, moments and best weights: 10 + 20 + 10; the model has 10 once more."""
    disk(130)
    require_room(None, str(tmp_path / "outputs"), 10 * MIB, 20 * MIB, 0, False)
    disk(129)
    with pytest.raises(CheckpointError) as error:
        require_room(None, str(tmp_path / "outputs"), 10 * MIB, 20 * MIB, 0, False)
    assert str(error.value) == (
        f"{tmp_path}: has 129.0 MiB free, and this run needs about 130.0 MiB, most of it for three checkpoints of "
        "40.0 MiB; make room, or take another disk with outputs="
    )
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_has_already_needs_no_room(tmp_path, disk):
    run = RunDir(tmp_path)
    for step in (1, 2):
        (run.checkpoints / f"step-{step}").mkdir(parents=True)
    disk(50)
    require_room(run, "elsewhere", 10 * MIB, 20 * MIB, 0, False)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    run = RunDir(tmp_path)
    run.checkpoints.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != run.checkpoints)
    with pytest.raises(CheckpointError, match=rf"^{run.checkpoints}: cannot be written to"):
        require_room(run, "elsewhere", 1, 1, 1, True)


@pytest.mark.parametrize("name", ["model.keras", "predictions.csv", "report.html", "train.log"])
def test_what_stands_where_a_file_has_to_be_written_is_named_before_training(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(CheckpointError, match=rf"^{tmp_path / name}: is no regular file, and the run has to write it"):
        require_room(RunDir(tmp_path), "elsewhere", 1, 1, 1, True)
    (tmp_path / name).rmdir()
    (tmp_path / name).touch()
    require_room(RunDir(tmp_path), "elsewhere", 1, 1, 1, True)


def test_a_disk_without_room_for_more_files_is_named(tmp_path, disk, monkeypatch):
    disk(1000)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_files=1000, f_favail=79))
    with pytest.raises(CheckpointError, match=rf"^{tmp_path}: has room for 79 more files whatever their size"):
        require_room(None, str(tmp_path), 1, 1, 1, True)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_files=0, f_favail=0))
    require_room(None, str(tmp_path), 1, 1, 1, True)
