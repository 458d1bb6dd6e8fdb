import errno
import fcntl
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vit_train.errors import CheckpointError, ConfigError
from vit_train.rundir.layout import RunDir


def test_the_name_says_when_and_what(tmp_path):
    run = RunDir.create(str(tmp_path), "digits", "vit")
    name = run.path.relative_to(tmp_path).as_posix()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d\.\d{6}-digits-vit", name)
    assert run.checkpoints.is_dir()


def test_no_two_runs_share_a_directory(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        runs = list(pool.map(lambda _: RunDir.create(str(tmp_path), "digits", "vit"), range(200)))
    assert len({run.path for run in runs}) == 200


def test_a_place_that_cannot_hold_runs_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match=rf"^outputs={file}: cannot hold a run directory"):
        RunDir.create(str(file), "digits", "vit")


def test_a_directory_is_for_one_process(tmp_path):
    run = RunDir.create(str(tmp_path), "digits", "vit")
    refused = pytest.raises(CheckpointError, match=r"another process is training in this directory$")
    with run.locked(), refused, run.locked():
        pass
    with run.locked():
        pass


def test_a_vanished_directory_is_named(tmp_path):
    run = RunDir(tmp_path / "gone")
    with pytest.raises(CheckpointError, match=rf"^{run.path}: cannot be written to"), run.locked():
        pass


def test_a_pipe_for_a_lock_is_not_waited_for(tmp_path):
    run = RunDir(tmp_path)
    os.mkfifo(tmp_path / ".lock")
    assert not run.in_use
    with pytest.raises(CheckpointError, match=rf"^{tmp_path}: cannot be written to \(No such device"), run.locked():
        pass


def test_a_file_system_without_locks_is_noted_once(tmp_path, monkeypatch, capsys):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    run = RunDir(tmp_path)
    for _ in range(2):
        with run.locked():
            assert not run.in_use
    assert capsys.readouterr().err.count("its file system has no locks") == 1


@pytest.mark.parametrize("failing", ["run", "part"])
def test_what_cannot_be_made_leaves_nothing(tmp_path, monkeypatch, failing):
    """The disk has no inode left for the folder of the run, or for the one in it."""
    make = Path.mkdir

    def mkdir(path, *arguments, **options):
        if path.name == "checkpoints" or (failing == "run" and path.name.endswith("-digits-vit")):
            raise OSError(28, "No space left on device")
        make(path, *arguments, **options)

    (tmp_path / "other").mkdir()
    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(ConfigError, match=r"cannot hold a run directory: No space left on device$"):
        RunDir.create(str(tmp_path / "a" / "outputs"), "digits", "vit")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
