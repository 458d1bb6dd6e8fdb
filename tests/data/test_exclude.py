import pytest
from data.test_folder import write_classes
from data.test_table import HEADER, rows_of, write_table

from vit_train.config.compose import load_config
from vit_train.data.sources import load_all
from vit_train.errors import ConfigError, DataError


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
        ("a\n\nx", ": row 1: a is no picture of the data set; paths are relative to {root} (and in 1 more, such as 3)"),
        ("path\nnothing", ": row 2: nothing is no picture of the data set; paths are relative to {root}"),
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
    assert str(error.value) == f"{tmp_path}/out{message.format(root=root)}"


def test_only_of_files():
    with pytest.raises(ConfigError, match=r"^dataset.exclude=x: is for dataset=folder and table, not for digits$"):
        load_config(["dataset=digits", "dataset.exclude=x"])
