"""Pictures on the disk: the same pixels as without, bounded, and nothing that is damaged."""

import os
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vit_train import console
from vit_train.config.compose import load_config
from vit_train.config.dataset import AS_IT_IS, Fitting
from vit_train.data import image_files, kept, picture_cache
from vit_train.data.image_files import ImageFiles, read_image_file
from vit_train.data.picture_cache import PictureCache
from vit_train.errors import ConfigError, DataError
from vit_train.runs.cli import run as vit_runs

ENTRY = 8 * 8 * 3 + 32 + len(b"vit-train picture 1\n")  # bytes of a picture of 8 x 8


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def paths(tmp_path):
    generator = np.random.default_rng(0)
    found = [tmp_path / f"{index}.jpg" for index in range(6)]
    for path in found:
        Image.fromarray(generator.integers(0, 256, (*generator.integers(30, 90, 2), 3), np.uint8)).save(path)
    return found


@pytest.fixture
def decoded(monkeypatch):
    """The files that were decoded."""
    seen, read = [], image_files.read_image_file

    def counted(path, *rest):
        seen.append(path)
        return read(path, *rest)

    monkeypatch.setattr(image_files, "read_image_file", counted)
    return seen


def source(paths, limit=10**6, fitting=AS_IT_IS, size=(8, 8)):
    count, called = len(paths), np.array([str(path) for path in paths], object)
    sums = np.zeros((count, 2, 3), np.int64)
    return ImageFiles(called, np.zeros(count, np.int32), sums, size, 10**8, fitting, PictureCache(limit))


def stored():
    return kept.entries(picture_cache.folder())


def test_the_second_look_decodes_nothing_and_gives_the_same(paths, decoded):
    rows = np.arange(6)
    expected = np.stack([read_image_file(path, 8, 8) for path in paths])
    for _ in range(2):
        np.testing.assert_array_equal(source(paths).read(rows), expected)
    assert decoded == paths
    pixels, digest = source(paths).look(2)
    np.testing.assert_array_equal(pixels, expected[2])
    assert len(digest) == 32
    assert decoded == paths


def test_what_makes_other_pixels_is_another_picture(paths, decoded):
    others = (Fitting("pad"), Fitting("pad", "white"), Fitting(channels=1))
    for fitting, size in ((AS_IT_IS, (8, 8)), (AS_IT_IS, (8, 9)), *((fitting, (8, 8)) for fitting in others)):
        found = source(paths[:1], fitting=fitting, size=size).read(np.array([0]))[0]
        np.testing.assert_array_equal(found, read_image_file(paths[0], *size, fitting=fitting))
    assert len(decoded) == 5
    before = paths[0].stat()
    paths[1].replace(paths[0])
    os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    np.testing.assert_array_equal(source(paths).read(np.array([0]))[0], read_image_file(paths[0], 8, 8))


DAMAGES = (
    lambda data: b"",
    lambda data: data[:-1],
    lambda data: data + b"x",
    lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    lambda data: b"of another program",
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_made_again(paths, decoded, damage):
    source(paths[:1]).read(np.array([0]))
    (entry,) = stored()
    sound = entry.read_bytes()
    entry.write_bytes(damage(sound))
    np.testing.assert_array_equal(source(paths[:1]).read(np.array([0]))[0], read_image_file(paths[0], 8, 8))
    assert entry.read_bytes() == sound
    assert len(decoded) == 2


@pytest.mark.parametrize("ahead", [0, 1])
def test_there_are_never_more_bytes_than_the_limit_and_the_oldest_go_first(paths, capsys, monkeypatch, ahead):
    console.say_once.cache_clear()
    # A disk's clock may be behind: its files of this run are not of a run before.
    monkeypatch.setattr("vit_train.data.picture_cache.time", SimpleNamespace(time=lambda: time.time() + ahead))
    source(paths[:3], 3 * ENTRY).read(np.arange(3))
    for entry in stored():
        os.utime(entry, (1, 1))  # of a run long ago
    source(paths[:1], 3 * ENTRY).read(np.array([0]))  # which uses one of them
    assert "note" not in capsys.readouterr().err
    expected = np.stack([read_image_file(path, 8, 8) for path in paths])
    np.testing.assert_array_equal(source(paths, 3 * ENTRY).read(np.arange(6)), expected)
    assert sum(entry.stat().st_size for entry in stored()) <= 3 * ENTRY
    assert capsys.readouterr().err.count("is full, so the other pictures are decoded each time; raise it") == 1


def test_a_full_disk_is_a_note(paths, capsys, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    assert source(paths).read(np.arange(6)).shape == (6, 8, 8, 3)
    assert capsys.readouterr().err.count("no more pictures are kept there (No space left on device)") == 1


def test_a_file_that_is_gone_is_named_as_ever(paths):
    found = source(paths)
    found.read(np.arange(6))
    paths[3].unlink()
    with pytest.raises(DataError, match=rf"^{paths[3]}: cannot be read"):
        found.read(np.arange(6))


def test_the_command_shows_and_clears_them(paths, capsys):
    source(paths).read(np.arange(6))
    assert vit_runs(["cache"]) == 0
    assert f"of 6 pictures in {picture_cache.folder()}" in capsys.readouterr().out
    assert vit_runs(["cache", "--clear"]) == 0
    assert capsys.readouterr().out.startswith("6 files removed, 0.0 MB")
    assert not stored()


def test_only_files_have_a_cache():
    with pytest.raises(ConfigError, match=r"^dataset\.cache=2: is for dataset=folder and table, not for digits$"):
        load_config(["dataset=digits", "dataset.cache=2"])
