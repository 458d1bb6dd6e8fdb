import json
import shutil

import numpy as np
import pytest

from vit_train.errors import CheckpointError
from vit_train.rundir import checkpoint
from vit_train.rundir.checkpoint import Checkpoint


def state(step):
    arrays = {"model/0000/a": np.full((3, 4), step, np.float32), "optimizer/0000/iteration": np.int32(step)}
    return Checkpoint(arrays, {"model/0000/a": np.zeros((3, 4), np.float32)}, {"step": step, "rows": [{"loss": 1 / 3}]})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded(tmp_path):
    checkpoint.save(tmp_path, state(7))
    loaded, damages = checkpoint.load(tmp_path)
    assert damages == []
    assert loaded.progress == state(7).progress
    for ours, theirs in ((state(7).latest, loaded.latest), (state(7).best, loaded.best)):
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])
            assert ours[name].dtype == theirs[name].dtype


def test_an_empty_folder_has_none(tmp_path):
    assert checkpoint.load(tmp_path) == (None, [])


def test_the_newest_and_the_one_before_are_kept(tmp_path):
    for step in (1, 5, 12, 100_000_000):
        checkpoint.save(tmp_path, state(step))
    assert names(tmp_path) == ["step-0000000012", "step-0100000000"]
    assert checkpoint.load(tmp_path)[0].progress["step"] == 100_000_000


@pytest.mark.parametrize("name", ["latest.npz", "best.npz", "progress.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_newest_is_reported_and_the_one_before_used(tmp_path, name, damage):
    checkpoint.save(tmp_path, state(1))
    checkpoint.save(tmp_path, state(2))
    file = tmp_path / "step-0000000002" / name
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 0xFF
    file.unlink() if damage == "remove" else file.write_bytes(data[:-1] if damage == "cut" else data)
    loaded, (sentence,) = checkpoint.load(tmp_path)
    assert loaded.progress["step"] == 1
    assert sentence.startswith(f"{file.parent}: is damaged (")


def test_without_a_sound_one_it_is_an_error(tmp_path):
    checkpoint.save(tmp_path, state(1))
    (tmp_path / "step-0000000001" / "latest.npz").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"is damaged .*; no sound checkpoint is left, so start a new run$"):
        checkpoint.load(tmp_path)


def test_a_crash_while_writing_leaves_the_old_one(tmp_path, monkeypatch):
    """At every call that touches the disk, the process is gone; a new one finds the checkpoint before."""
    (tmp_path / "a").mkdir()
    checkpoint.save(tmp_path / "a", state(1))
    crashes = 0
    for call in range(1, 100):
        folder = tmp_path / f"crash-{call}"
        shutil.copytree(tmp_path / "a", folder)
        counter = iter(range(call, -1, -1))

        class Crash(BaseException):
            pass

        def fsync(descriptor, counter=counter, error=Crash):
            if next(counter, 0) == 1:
                raise error

        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", fsync)
            try:
                checkpoint.save(folder, state(2))
            except Crash:
                crashes += 1
            else:
                break
        assert checkpoint.load(folder)[0].progress["step"] in (1, 2)
        checkpoint.save(folder, state(3))
        assert checkpoint.load(folder)[0].progress["step"] == 3
    assert crashes == 6


@pytest.mark.parametrize("call", ["fsync", "mkdir", "rename"])
def test_a_full_disk_leaves_the_old_one_and_says_so(tmp_path, monkeypatch, call):
    checkpoint.save(tmp_path, state(1))

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync" if call == "fsync" else f"pathlib.Path.{call}", full)
        with pytest.raises(CheckpointError) as error:
            checkpoint.save(tmp_path, state(2))
    assert str(error.value) == (
        f"{tmp_path}/step-0000000002: could not be written (No space left on device); the checkpoint before it is as "
        f"it was; make room or fix the disk, then continue with resume={tmp_path.parent}"
    )
    assert names(tmp_path) == ["step-0000000001"]
    assert checkpoint.load(tmp_path)[0].progress["step"] == 1


def test_a_pickle_in_an_archive_does_not_run(tmp_path):
    checkpoint.save(tmp_path, state(1))
    folder, marker = tmp_path / "step-0000000001", tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (marker.touch, ())

    with (folder / "latest.npz").open("wb") as file:
        np.savez(file, evil=np.array([Evil()], dtype=object))
    import hashlib

    data = (folder / "latest.npz").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["latest.npz"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="no sound checkpoint"):
        checkpoint.load(tmp_path)
    assert not marker.exists()
