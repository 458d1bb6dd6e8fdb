import hashlib
import io
import json
import os
import shutil
import stat
import zipfile

import numpy as np
import pytest
from faults.system_calls import each

from vit_train.errors import CheckpointError
from vit_train.rundir import checkpoint
from vit_train.rundir.checkpoint import Checkpoint


def state(step, number=0):
    progress = {"step": step, "number": number, "rows": [{"loss": 1 / 3}]}
    arrays = {"model/0000/a": np.full((3, 4), step, np.float32), "optimizer/0000/iteration": np.int32(step)}
    return Checkpoint(arrays, {"model/0000/a": np.zeros((3, 4), np.float32)}, progress)


@pytest.fixture
def no_disk(monkeypatch):
    """Flushes take no time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


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


@pytest.mark.parametrize("steps", [(2, 4, 8), (8, 8), (8, 8, 8)])
def test_killed_at_any_system_call_the_old_state_is_loaded_or_the_new_one(tmp_path, steps, no_disk):
    """The process is gone before, in and after each call; a new one finds a state, saves the next, and tidies up."""
    folder, kept = tmp_path / "checkpoints", tmp_path / "kept"
    kept.mkdir()
    for number, step in enumerate(steps[:-1]):
        checkpoint.save(kept, state(step, number))
    old, new = len(steps) - 2, len(steps) - 1
    shutil.copytree(kept, folder)
    stops = 0
    for stopped in each(folder, lambda: checkpoint.save(folder, state(steps[-1], new))):
        found, damages = checkpoint.load(folder)
        assert found.progress["number"] in ((old, new) if stopped else (new,))
        assert damages == []
        assert found.latest["model/0000/a"][0, 0] == found.progress["step"]
        checkpoint.tidy(folder)
        assert checkpoint.load(folder)[0].progress["number"] >= found.progress["number"]
        checkpoint.save(folder, state(9, 3))
        checkpoint.save(folder, state(9, 4))
        assert len(names(folder)) == 2
        assert names(folder)[1] == "step-0000000009-2"
        assert checkpoint.load(folder)[0].progress["number"] == 4
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        stops += stopped
    assert stops >= 36


def test_the_first_checkpoint_of_a_killed_save_is_used_if_it_is_whole(tmp_path, no_disk):
    loads = set()
    for _ in each(tmp_path, lambda: checkpoint.save(tmp_path, state(1))):
        checkpoint.tidy(tmp_path)
        found, _ = checkpoint.load(tmp_path)
        loads.add(found is None)
        assert [path.name for path in tmp_path.iterdir()] == [] if found is None else ["step-0000000001"]
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
    assert loads == {True, False}


def test_a_step_saved_again_takes_the_place_of_the_first(tmp_path):
    for number, step in enumerate((1, 4, 4, 4, 6)):
        checkpoint.save(tmp_path, state(step, number))
        assert checkpoint.load(tmp_path)[0].progress["number"] == number
    assert names(tmp_path) == ["step-0000000004-3", "step-0000000006"]


def test_a_damaged_one_does_not_cost_a_sound_one(tmp_path):
    """The newest is damaged, the one before it is taken; then two are saved, before and at the step of the damaged."""
    for step in (4, 8):
        checkpoint.save(tmp_path, state(step))
    (tmp_path / "step-0000000008" / "latest.npz").write_bytes(b"")
    checkpoint.save(tmp_path, state(6))
    assert names(tmp_path) == ["step-0000000004", "step-0000000006"]


def test_an_old_one_that_cannot_be_removed_is_a_note(tmp_path, monkeypatch, capsys):
    def refuse(path, **options):
        raise OSError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", refuse)
        for step in (1, 2, 3, 4):
            checkpoint.save(tmp_path, state(step))
    assert checkpoint.load(tmp_path)[0].progress["step"] == 4
    note = f"note: {tmp_path}/.step-0000000001.old: is not needed and cannot be removed (Operation not permitted);"
    assert capsys.readouterr().err.count(note) == 1
    checkpoint.save(tmp_path, state(5))
    assert names(tmp_path) == ["step-0000000004", "step-0000000005"]


def test_a_folder_that_cannot_be_flushed_is_noted_once(tmp_path, monkeypatch, capsys):
    fsync = os.fsync

    def refuse(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    for step in (1, 2):
        checkpoint.save(tmp_path, state(step))
    assert capsys.readouterr().err.count("cannot flush a folder") == 1
    assert names(tmp_path) == ["step-0000000001", "step-0000000002"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"latest.npz": 1}', '{"/dev/zero": {"bytes": 0, "sha256": ""}}']
)
def test_a_manifest_that_is_none_is_a_damage(tmp_path, text):
    checkpoint.save(tmp_path, state(1))
    (tmp_path / "step-0000000001" / "manifest.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"is damaged \(manifest.json "):
        checkpoint.load(tmp_path)


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


def write_manifest(folder):
    """That of the archive that is there now."""
    data = (folder / "latest.npz").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["latest.npz"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_array_that_would_take_more_memory_than_the_file_has_is_not_read(tmp_path, compression):
    """A header may claim any size, and compressed zeros are small."""
    checkpoint.save(tmp_path, state(1))
    folder, header = tmp_path / "step-0000000001", io.BytesIO()
    shape = (10**15,) if compression == zipfile.ZIP_STORED else (10**6,)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(folder / "latest.npz", "w", compression) as archive:
        archive.writestr("a.npy", header.getvalue() + bytes(4 * 10**6))
    write_manifest(folder)
    with pytest.raises(CheckpointError, match=r"latest\.npz has an array of \(10+,\) in [\d,]+ bytes\); no sound"):
        checkpoint.load(tmp_path)


def test_a_pickle_in_an_archive_does_not_run(tmp_path):
    checkpoint.save(tmp_path, state(1))
    folder, marker = tmp_path / "step-0000000001", tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (marker.touch, ())

    with (folder / "latest.npz").open("wb") as file:
        np.savez(file, evil=np.array([Evil()], dtype=object))
    write_manifest(folder)
    with pytest.raises(CheckpointError, match="no sound checkpoint"):
        checkpoint.load(tmp_path)
    assert not marker.exists()
