import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from data.test_folder import write_classes
from data.test_table import HEADER, rows_of, write_table

from vit_train.config.compose import load_config
from vit_train.data.sources import load_all
from vit_train.errors import ConfigError, DataError
from vit_train.runs.cli import run as vit_runs


@pytest.fixture
def root(tmp_path):
    """Two classes with 3 train and 2 test pictures, of which one is damaged, and a table of them."""
    root = tmp_path / "pets"
    write_classes(root / "train", ["cat", "dog"], 3)
    write_classes(root / "test", ["cat", "dog"], 2, seed=1)
    (root / "train/cat/1.png").write_bytes(b"")
    write_table(root / "labels.csv", [HEADER, *rows_of(root)])
    return root


def load(dataset, root, exclude):
    path = root / "labels.csv" if dataset == "table" else root
    return load_all(load_config([f"dataset={dataset}", f"dataset.root={path}", f"dataset.exclude={exclude}",
                                 "model.image_size=8", "model.patch_size=4"]))  # fmt: skip


@pytest.mark.parametrize("dataset", ["folder", "table"])
@pytest.mark.parametrize(
    "text",
    [
        "train/cat/1.png\n\n ./test/dog/0.png \ntrain/cat/1.png",  # a name twice does no harm
        '\ufeffkind;File\ncopy;train/cat/1.png\n"a\nb";test/dog/0.png\n',
    ],
    ids=["lines", "CSV"],
)
def test_what_a_file_names_is_left_out(root, tmp_path, dataset, text):
    (tmp_path / "out.txt").write_text(text)
    found = load(dataset, root, tmp_path / "out.txt")
    assert [path.removeprefix(f"{root}/train/") for path in found.train.paths] == [
        "cat/0.png", "cat/2.png", "dog/0.png", "dog/1.png", "dog/2.png"
    ]  # fmt: skip
    assert found.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert [path.removeprefix(f"{root}/test/") for path in found.test.paths] == ["cat/0.png", "cat/1.png", "dog/1.png"]
    assert f"note: 2 pictures are left out, as {tmp_path}/out.txt says" in found.notes


def test_a_table_without_rows_leaves_nothing_out(root, tmp_path):
    (root / "train/cat/1.png").unlink()
    (tmp_path / "out.csv").write_text("path,kind\n")
    assert len(load("folder", root, tmp_path / "out.csv").train) == 5


@pytest.mark.parametrize("dataset", ["folder", "table"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n\nx", ": row 1: a is no picture of the data set; {named} (and in 1 more, such as 3)"),
        ("path\nnothing", ": row 2: nothing is no picture of the data set; {named}"),
        ("test/cat/0.png\ntest/cat/1.png", ": leaves class 'cat' without a picture in the part test; leave out fewer"),
        (b"caf\xe9", ": is not UTF-8 (the byte 0xe9 in line 1); save it as that, which Excel calls CSV UTF-8"),
        (None, ": cannot be read (No such file or directory); fix that, or name another file"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_said(root, tmp_path, dataset, text, message):
    if text is not None:
        (tmp_path / "out").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError) as error:
        load(dataset, root, tmp_path / "out")
    named = f"they are named from {root}, as train/cat/0.png"
    assert str(error.value) == f"{tmp_path}/out{message.format(named=named)}"


def test_only_of_ones_own_pictures():
    message = "dataset.exclude=x: is for dataset=folder, table, hf, npz, not for digits"
    with pytest.raises(ConfigError) as error:
        load_config(["dataset=digits", "dataset.exclude=x"])
    assert str(error.value) == message


@pytest.fixture
def packed(root, monkeypatch):
    """The same pictures, sound ones, and one of the test set in training, too, in files that hold many."""
    from data.test_arrow import parquet, table_of, write_hub, write_saved  # skips without pyarrow
    from data.test_arrow import rows_of as packed_rows_of

    monkeypatch.chdir(root.parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(root.parent / "cache"))
    shutil.copy(root / "test/dog/1.png", root / "train/cat/1.png")
    write_classes(root / "val", ["cat", "dog"], 1, seed=9)
    small = ("model.image_size=8", "model.patch_size=4")
    found = load_all(load_config(["dataset=folder", f"dataset.root={root}", *small]))
    parts = {"train": found.train, "test": found.test, "val": found.validation}
    arrays = {f"x_{name}": part.read(np.arange(len(part))) for name, part in parts.items()}
    np.savez("pets.npz", **arrays, **{f"y_{name}": part.labels for name, part in parts.items()})
    parquet.write_table(table_of(packed_rows_of(root, "train", "test", "val")), "pets.parquet")
    write_hub(root.parent / "hub", root)
    write_saved(root.parent / "disk", root)


@pytest.mark.parametrize(
    ("dataset", "path", "copy", "other"),
    [
        ("table", "pets.parquet", "pets.parquet: row 1", "pets.parquet: row 9"),
        ("hf", "hub", "data/train-00000-of-00002.parquet: row 1", "data/test-00000-of-00001.parquet: row 3"),
        ("hf", "disk", "train/data-00000-of-00001.arrow: row 1", "test/data-00000-of-00001.arrow: row 3"),
        ("npz", "pets.npz", "pets.npz: x_train[1]", "pets.npz: x_test[3]"),
    ],
)
def test_what_a_check_names_is_left_out_of_files_that_hold_many(packed, capsys, dataset, path, copy, other):
    chosen = [f"dataset={dataset}", f"dataset.root={path}", "model.image_size=8", "model.patch_size=4"]
    assert vit_runs(["check", *chosen]) == 0
    with Path("check/findings.csv").open(newline="") as file:
        found = {(row["path"], row["kind"]): row["reason"] for row in csv.DictReader(file)}
    assert found[copy, "leak"] == f"the same as {other}"
    # At this size other pictures may look alike, too, so only the planted copy is left out.
    Path("out.csv").write_text(f"path,kind\n{copy},leak\n")
    before, after = (load_all(load_config([*chosen, *more])) for more in ([], ["dataset.exclude=out.csv"]))
    kept = [row for row in range(6) if row != 1]
    np.testing.assert_array_equal(after.train.read(np.arange(5)), before.train.read(np.array(kept)))
    assert after.train.labels.tolist() == before.train.labels[kept].tolist()
    assert after.train.paths.tolist() == before.train.paths[kept].tolist()
    assert after.test.paths.tolist() == before.test.paths.tolist()
    assert "note: 1 picture is left out, as out.csv says" in after.notes
    assert not any("share" in note for note in after.notes)
    Path("out.csv").write_text("path\ntrain/1\n")
    with pytest.raises(DataError, match=r"^out.csv: row 2: train/1 is no picture of the data set; they are named from"):
        load_all(load_config([*chosen, "dataset.exclude=out.csv"]))


def test_a_damaged_picture_inside_of_a_file_is_left_out_by_the_check(packed, capsys):
    from data.test_arrow import halved, parquet

    parquet.write_table(halved(parquet.read_table("pets.parquet")), "pets.parquet")
    assert vit_runs(["check", "pets.parquet"]) == 0
    with Path("check/exclude.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["path"] == "pets.parquet: row 3"
    config = load_config(["dataset=table", "dataset.root=pets.parquet", "dataset.exclude=check/exclude.csv"])
    assert len(load_all(config).train) < 6
