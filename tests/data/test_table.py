"""Tables of pictures: good ones, and a corpus of broken ones."""

import csv

import numpy as np
import pytest
from data.test_folder import contents, load_folder, write_classes

from vit_train.config.compose import load_config
from vit_train.data.sources import load_all
from vit_train.errors import ConfigError, DataError

HEADER = ["path", "label", "split"]


@pytest.fixture
def folder(tmp_path):
    """Pictures of two classes in train (3 each), test (2) and val (1), as a folder of its own."""
    root = tmp_path / "pets"
    for number, (part, count) in enumerate({"train": 3, "test": 2, "val": 1}.items()):
        write_classes(root / part, ["cat", "dog"], count, seed=number)
    return root


def rows_of(folder):
    return [[str(path.relative_to(folder)), path.parent.name, path.parent.parent.name]
            for part in ("train", "test", "val") for path in sorted(folder.glob(f"{part}/*/*"))]  # fmt: skip


def write_table(file, rows, delimiter=",", encoding="utf-8"):
    with file.open("w", newline="", encoding=encoding) as opened:
        csv.writer(opened, delimiter=delimiter).writerows(rows)
    return file


def load(file, *overrides):
    return load_all(load_config(["dataset=table", f"dataset.root={file}", "model.image_size=8", "model.patch_size=4",
                                 *overrides]))  # fmt: skip


def equal(a, b):
    return all(
        np.array_equal(mine.labels, theirs.labels)
        and np.array_equal(mine.read(np.arange(len(mine))), theirs.read(np.arange(len(theirs))))
        for mine, theirs in ((a.train, b.train), (a.test, b.test), (a.validation, b.validation))
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_is_the_same_data_set_as_the_folder(folder, delimiter, encoding):
    found = load(write_table(folder / "labels.csv", [HEADER, *rows_of(folder)], delimiter, encoding))
    expected = load_folder(str(folder), 8)
    assert equal(found, expected)
    assert (found.name, found.class_names, found.fingerprint) == ("table", ("cat", "dog"), expected.fingerprint)
    assert found.train.paths.tolist() == expected.train.paths.tolist()
    assert found.notes == (f"note: {folder}/labels.csv: has a part val, so that dataset.validation is of no effect",)


def test_without_a_column_of_parts_the_test_set_is_that_of_the_folder(tmp_path):
    write_classes(tmp_path, ["cat", "dog"], 10)
    rows = [[path.relative_to(tmp_path), path.parent.name] for path in tmp_path.glob("*/*")]
    found = load(write_table(tmp_path / "x.csv", [["file", "class"], *rows]))
    assert sorted(contents(found.test)) == sorted(contents(load_folder(str(tmp_path), 8).test))
    assert found.notes == (f"note: {tmp_path}/x.csv: has no part test, so a fifth of each class is it",)


def test_other_columns_and_words(folder, monkeypatch):
    """Names by key, other usual words for parts, quoted cells over two lines, blank lines, absolute and odd paths."""
    words = {"train": "Training", "test": "TESTING", "val": "validation"}
    rows = [
        ["remark, \n of two lines", "", label, words[part], f" ./x/../{path} "] for path, label, part in rows_of(folder)
    ]
    rows[0][-1] = str(folder / rows_of(folder)[0][0])
    write_table(folder / "labels.csv", [["label", "path", "species", "fold", "photo"], *rows[:3], [], *rows[3:], []])
    monkeypatch.chdir(folder)
    columns = ("dataset.path_column=photo", "dataset.label_column=species", "dataset.split_column=fold")
    assert equal(load("labels.csv", *columns), load_folder(str(folder), 8))


def test_whole_numbers_are_in_their_order(tmp_path):
    write_classes(tmp_path, ["2", "10", "-1"], 5)
    rows = [[path.relative_to(tmp_path), path.parent.name] for path in tmp_path.glob("*/*")]
    assert load(write_table(tmp_path / "x.csv", [["path", "label"], *rows])).class_names == ("-1", "2", "10")


def test_train_and_val_alone(folder):
    rows = [row for row in rows_of(folder) if row[2] != "test"]
    found = load(write_table(folder / "labels.csv", [HEADER, *rows]))
    assert (len(found.train), len(found.test), found.validation) == (6, 2, None)
    assert found.notes == (f"note: {folder}/labels.csv: has no part test, so val is the test set",)


def changed(place, column, value):
    """Writes the good table with another value in row `place` + 2."""

    def write(folder):
        rows = rows_of(folder)
        rows[place][column] = value
        write_table(folder / "labels.csv", [HEADER, *rows])

    return write


def as_text(change):
    """Writes the text of the good table, changed."""

    def write(folder):
        text = write_table(folder / "labels.csv", [HEADER, *rows_of(folder)]).read_text()
        found = change(text)
        (folder / "labels.csv").write_bytes(found if isinstance(found, bytes) else found.encode())

    return write


WORDS = {
    "paths": "path, file, filename, file_name, filepath, file_path, image, image_path, img",
    "labels": "label, labels, class, class_name, category",
    "cells": "comma, semicolon or tab between cells",
    "whole": "labels are names or whole numbers",
    "relative": "paths are relative to the table",
}
# How a good folder and its table are broken, and how the sentence goes on after the table's path.
BROKEN = {
    "no table": (lambda folder: None, ": cannot be read (No such file or directory); fix that, or name another file"),
    "a folder": (lambda folder: (folder / "labels.csv").mkdir(), ": is a folder; name the file, or use dataset=folder"),
    "nothing": (as_text(lambda text: ""), ": has no column called path, file, filename,"),
    "no rows": (as_text(lambda text: text.split("\n")[0]), ": has no rows after the first, which names the columns"),
    "another delimiter": (
        as_text(lambda text: text.replace(",", "|")),
        ": has no column called {paths}; its first row, with {cells}, names path|label|split; set dataset.path_column",
    ),
    "no names": (
        as_text(lambda text: text.split("\n", 1)[1]),
        ": has no column called {paths}; its first row, with {cells}, names train/cat/0.png, cat, train; set",
    ),
    "no labels": (
        as_text(lambda text: text.replace("label", "breed")),
        ": has no column called {labels}; its first row, with {cells}, names path, breed, split; set dataset.label_col",
    ),
    "two columns of paths": (
        as_text(lambda text: text.replace("label", "File")),
        ": has the columns path, File; set dataset.path_column to one of them",
    ),
    "Latin-1": (
        as_text(lambda text: text.replace("dog,train", "chien n\xe9,train", 1).encode("latin-1")),
        ": is not UTF-8 (the byte 0xe9 in line 5); save it as that, which Excel calls CSV UTF-8",
    ),
    "UTF-16": (as_text(lambda text: text.encode("utf-16")), ": is not UTF-8 (the byte 0xff in line 1); save it as"),
    "UTF-16 without a mark": (as_text(lambda text: text.encode("utf-16-le")), ": is no text, it has bytes of zero; "),
    "a cell too many": (
        as_text(lambda text: text.replace("dog,train", "dog,train,", 1)),
        ": row 5: has 4 cells, and the first row 3; put quotes around a cell with a delimiter in it",
    ),
    "a quote in a cell": (
        as_text(lambda text: text.replace("test/cat/0.png", '"test/cat"/0.png', 1)),
        ": row 8: cannot be read (',' expected after '\"'); are its quotes closed?",
    ),
    "a cell of a megabyte": (
        as_text(lambda text: text.replace("test/cat/0.png", "x" * 10**6, 1)),
        ": row 8: cannot be read (field larger than field limit (131072)); are its quotes closed?",
    ),
    "a fault after quoted newlines": (
        as_text(lambda text: text.replace("train/cat/0.png", '"a\nb\nc"', 1)),
        ": row 2: there is no file {folder}/a",
    ),
    "an open quote": (
        as_text(lambda text: text.replace("test/cat/0.png", '"test/cat/0.png', 1)),
        ": row 8: cannot be read (unexpected end of data); are its quotes closed?",
    ),
    "an empty label": (changed(3, 1, " "), ": row 5: its label '' is empty or a number with a point; labels are"),
    "labels of NaN": (changed(3, 1, "nan"), ": row 5: its label 'nan' is empty or a number with a point; labels are"),
    "labels as floats": (
        as_text(lambda text: text.replace(",cat", ",0.0").replace(",dog", ",1.0")),
        ": row 2: its label '0.0' is empty or a number with a point; {whole} (and in 11 more, such as 3, 4, 5, ...)",
    ),
    "one label": (
        as_text(lambda text: text.replace(",dog", ",cat")),
        ": has one class only, 'cat'; two or more are needed; are these the labels?",
    ),
    "an empty path": (changed(1, 0, ""), ": row 3: has no path; name the picture's file"),
    "a path outside": (
        changed(1, 0, "/etc/passwd"),
        ": row 3: /etc/passwd is outside of {folder}; paths are relative to the table, so put it beside the pictures",
    ),
    "a path above": (changed(1, 0, "train/../../x.png"), ": row 3: train/../../x.png is outside of {folder}; paths"),
    "a folder beside": (changed(1, 0, "../pets2/x.png"), ": row 3: ../pets2/x.png is outside of {folder}; paths"),
    "a missing file": (
        lambda folder: [changed(0, 1, "cat")(folder), *(path.unlink() for path in folder.glob("t*/dog/1.png"))],
        ": row 6: there is no file {folder}/train/dog/1.png; {relative} (and in 1 more, such as 11)",
    ),
    "a file twice": (
        changed(9, 0, "./train//cat/2.png"),
        ": row 11: ./train//cat/2.png is in row 4, too; remove one of them",
    ),
    "an unknown part": (
        changed(9, 2, "holdout"),
        ": row 11: 'holdout' is no part; it must be one of train, training, test, testing, val, valid, validation",
    ),
    "an empty part": (changed(9, 2, ""), ": row 11: '' is no part; it must be one of train, training, test,"),
    "nothing to train on": (
        as_text(lambda text: text.replace(",train\n", ",val\n")),
        ": has no part train; name the images to learn from so",
    ),
    "a class in training only": (
        changed(0, 1, "bird"),
        ": the part test lacks 1 of the classes, such as 'bird'; every part needs all of them",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_table_is_one_sentence(folder, fault, refused):
    damage, message = BROKEN[fault]
    damage(folder)
    sentence = refused("table", folder / "labels.csv")
    assert sentence.startswith(f"{folder}/labels.csv{message.format(folder=folder, **WORDS)}")


def test_a_column_that_is_not_there_has_a_neighbour(folder):
    file = write_table(folder / "labels.csv", [["path", "species"], *(row[:2] for row in rows_of(folder))])
    with pytest.raises(DataError, match="has no column specie; did you mean species; its first row"):
        load(file, "dataset.label_column=specie")
    write_table(file, [["path", "breed", "breed"], *rows_of(folder)])
    with pytest.raises(DataError, match=r"has the columns breed, breed; rename one of them$"):
        load(file, "dataset.label_column=breed")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset=table"], "dataset.root=null: dataset=table needs the CSV or parquet file that lists or holds"),
        (
            ["dataset=table", "dataset.root=x", "dataset.validation=last"],
            "dataset.validation=last: the pictures of dataset=table come class by class",
        ),
        (
            ["dataset=hf", "dataset.root=x", "dataset.validation=last"],
            "dataset.validation=last: the pictures of dataset=hf come class by class",
        ),
        (
            ["dataset=folder", "dataset.root=x", "dataset.label_column=breed"],
            "dataset.label_column=breed: is for dataset=table and hf, not for folder",
        ),
    ],
)
def test_what_the_config_must_have(overrides, message):
    with pytest.raises(ConfigError) as error:
        load_config(overrides)
    assert str(error.value).startswith(message)
