"""dataset.classes: the order of the classes; and tables in a folder."""

import numpy as np
import pytest
from data.test_folder import write_classes
from data.test_table import HEADER, rows_of, write_table

from vit_train.config.compose import load_config
from vit_train.data.sources import load_all
from vit_train.errors import ConfigError

NAMES = ["ant", "bee", "café"]
SMALL = ("model.image_size=8", "model.patch_size=4")


@pytest.fixture
def root(tmp_path):
    for number, part in enumerate(("train", "test")):
        write_classes(tmp_path / "pets" / part, NAMES, 3, seed=number)
    write_table(tmp_path / "pets" / "labels.csv", [HEADER, *rows_of(tmp_path / "pets")])
    return tmp_path / "pets"


def load(kind, path, *overrides):
    return load_all(load_config([f"dataset={kind}", f"dataset.root={path}", *SMALL, *overrides]))


def test_each_source_takes_the_order_of_a_file(root, tmp_path):
    (tmp_path / "order.txt").write_text("café\n\n  ant\nbee\n")  # é as e and an accent
    plain = load("folder", root)
    images = {
        f"x_{name}": part.read(np.arange(len(part))) for name, part in (("train", plain.train), ("test", plain.test))
    }
    shown = {f"y_{name}": np.array(NAMES)[part.labels] for name, part in (("train", plain.train), ("test", plain.test))}
    np.savez(tmp_path / "pets.npz", **images, **shown)
    for kind, path in (("folder", root), ("table", root / "labels.csv"), ("npz", tmp_path / "pets.npz")):
        found = load(kind, path, f"dataset.classes={tmp_path}/order.txt")
        assert found.class_names == ("café", "ant", "bee")
        for mine, part in ((found.train, plain.train), (found.test, plain.test)):
            assert np.array(found.class_names)[mine.labels].tolist() == np.array(NAMES)[part.labels].tolist()
            np.testing.assert_array_equal(mine.read(np.arange(9)), part.read(np.arange(9)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bee\nant\n", ": lacks 1 of the classes, such as 'café'; name all of them"),
        ("bee\n\nwasp\ncafé", ": row 3: 'wasp' is no class of the data, which are ant, bee, café"),
        ("bee\nant\ncafé\nbee", ": row 4: names 'bee' a second time; remove it"),
        ("", ": lacks 3 of the classes, such as 'ant'; name all of them"),
        (None, ": cannot be read (No such file or directory); fix that, or name another file"),
    ],
)
def test_another_file_is_one_sentence(root, tmp_path, refused, text, message):
    if text is not None:
        (tmp_path / "order.txt").write_text(text)
    sentence = refused("folder", root, f"dataset.classes={tmp_path}/order.txt")
    assert sentence == f"{tmp_path}/order.txt{message}"


def test_only_of_ones_own_pictures():
    with pytest.raises(
        ConfigError, match=r"^dataset.classes=x: is for dataset=folder, table, hf, npz, not for digits$"
    ):
        load_config(["dataset=digits", "dataset.classes=x"])


def test_a_folder_with_a_table_for_each_part(root, tmp_path):
    header, rows = ["path", "label"], rows_of(root)
    write_table(root / "my_train.csv", [header, *(row[:2] for row in rows if row[2] == "train")])
    write_table(root / "test.tsv", [header, *(row[:2] for row in rows if row[2] == "test")], delimiter="\t")
    found, expected = load("table", root), load("folder", root)
    assert found.fingerprint == expected.fingerprint
    assert (root / "labels.csv").exists()  # whose name tells no part, so that it is left out
