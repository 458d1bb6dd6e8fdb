import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_train.rundir import predictions
from vit_train.runs.cli import run as vit_runs
from vit_train.training.evaluate import from_logits


def picture(seed, width=64, height=48):
    """Smooth coloured noise, of which no two are alike."""
    noise = np.random.default_rng(seed).integers(60, 200, (6, 6, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Two classes whose names differ by a capital, ten sound pictures for each, and planted faults."""
    monkeypatch.chdir(tmp_path)
    for part, count in (("train", 6), ("test", 4)):
        for name in ("cat", "Cat"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for row in range(count):
                path = tmp_path / "data" / part / name / f"{row}.png"
                picture([ord(letter) for letter in f"{part}{name}{row}"]).save(path)
    root = tmp_path / "data"
    shutil.copy(root / "test/cat/1.png", root / "train/cat/leak.png")
    Image.open(root / "train/Cat/2.png").resize((60, 45)).save(root / "train/Cat/near.jpg", quality=80)
    shutil.copy(root / "train/cat/3.png", root / "train/Cat/both.png")
    Image.new("RGB", (64, 48), (90, 90, 90)).save(root / "test/cat/blank.png")
    picture(1, 30, 22).save(root / "test/Cat/tiny.png")
    turned = picture(2)
    turned.getexif()[0x0112] = 6
    turned.save(root / "train/cat/turned.jpg", exif=turned.getexif())
    picture(3, 640, 480).save(root / "train/cat/wide.png")
    picture(4).point(lambda value: value // 4).save(root / "train/cat/dark.png")
    return root


def rows(name):
    with Path(f"check/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_planted_fault_is_found_and_nothing_else(root, capsys):
    assert vit_runs(["check", str(root)]) == 0
    output = capsys.readouterr().out.splitlines()
    found = {(row["path"], row["kind"]): row for row in rows("findings")}
    assert set(found) == {
        ("train/cat/leak.png", "leak"),
        ("test/cat/1.png", "leak"),
        ("train/Cat/near.jpg", "copy"),
        ("train/cat/3.png", "copy"),
        ("train/cat/3.png", "label"),
        ("train/Cat/both.png", "label"),
        ("test/cat/blank.png", "blank"),
        ("test/Cat/tiny.png", "tiny"),
        ("test/Cat/tiny.png", "size"),
        ("train/cat/turned.jpg", "turned"),
        ("train/cat/wide.png", "size"),
        ("train/cat/dark.png", "colour"),
    }
    assert found["train/cat/leak.png", "leak"]["reason"] == "the same as test/cat/1.png"
    assert found["train/Cat/near.jpg", "copy"]["reason"] == "nearly the same as train/Cat/2.png"
    assert found["train/cat/3.png", "label"]["reason"] == "the same as train/Cat/both.png, whose class is Cat"
    assert found["train/Cat/both.png", "label"]["reason"] == "the same as train/cat/3.png, whose class is cat"
    assert found["train/cat/wide.png", "size"]["reason"] == "640 x 480 pixels, where the usual is 64 x 48"
    assert {row["path"] for row in rows("exclude")} == {
        "train/cat/leak.png", "train/Cat/near.jpg", "train/cat/3.png", "train/Cat/both.png", "test/cat/blank.png"
    }  # fmt: skip
    table = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output if line.startswith("│")]
    assert table[:3] == [
        ["all", "18", "10", "5"],
        ["in two parts", "1", "1", "1"],
        ["copies of two classes", "2", "0", "2"],
    ]
    assert "train: 8 to 10 pictures a class, from Cat to cat" in output
    assert "classes whose names are nearly the same: Cat, cat; are they one?" in output
    assert output[-1] == "check/check.html"
    assert max(map(len, output)) <= 80


def test_the_page_shows_each_pair_once_and_needs_nothing(root, capsys):
    assert vit_runs(["check", str(root), "--output", "here"]) == 0
    page = Path("here/check.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 1 * 2 + 1 * 2 + 2 * 2 + 1 + 1 + 1 + 2 + 1
    assert "train/cat/leak.png" in page
    assert "://" not in page


def test_accuracy_with_and_without_the_copies(root, made, capsys):
    run = made("18-00-00.1-folder-vit", test_accuracy=0.5)
    labels = np.array([0] * 5 + [1] * 5, np.int32)  # Cat comes before cat, tiny.png and blank.png are last
    answers = np.array([0, 0, 0, 1, 1, 0, 1, 0, 0, 0])  # of the ten, four are right, and so is the copied one, 1.png
    predictions.write(from_logits(np.eye(2, dtype=np.float32)[answers], labels), ["Cat", "cat"], run.predictions)
    assert vit_runs(["check", str(root), "--run", "latest"]) == 0
    output = capsys.readouterr().out
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│")]
    assert cells[-3:] == [
        ["all", "10", "40.00%"],
        ["without a copy to learn from", "9", "33.33%"],
        ["with one", "1", "100.00%"],
    ]
    predictions.write(from_logits(np.eye(2, dtype=np.float32)[labels], 1 - labels), ["Cat", "cat"], run.predictions)
    assert vit_runs(["check", str(root), "--run", "latest"]) == 2
    assert "--run latest: its test set is not that of" in capsys.readouterr().err


def test_files_that_cannot_be_read_are_listed_and_the_others_looked_at(root, capsys):
    for path in ("train/cat/0.png", "test/Cat/2.png"):
        (root / path).write_bytes(b"")
    assert vit_runs(["check", str(root)]) == 0
    output = capsys.readouterr().out
    assert "│ cannot be read        │     - │    - │         2 │" in output
    assert "│ all                   │    17 │    9 │         7 │" in output
    unreadable = [row for row in rows("findings") if row["kind"] == "unreadable"]
    assert [row["path"] for row in unreadable] == ["train/cat/0.png", "test/Cat/2.png"]
    assert unreadable[0]["reason"] == f"{root}/train/cat/0.png: is empty, it has 0 bytes; replace or remove it"
    excluded = {row["path"] for row in rows("exclude")}
    assert {"train/cat/0.png", "test/Cat/2.png", "train/cat/leak.png"} < excluded
    assert len(excluded) == 7
    # What is left out is then neither read nor found, and is left out still.
    assert vit_runs(["check", str(root), "dataset.exclude=check/exclude.csv"]) == 0
    assert not {row["kind"] for row in rows("findings")} & {"unreadable", "leak", "label", "copy", "blank"}
    assert {row["path"] for row in rows("exclude")} == excluded
    assert "│ all                   │    13 │    8 │         0 │" in capsys.readouterr().out


PLUGIN = """
from dataclasses import dataclass
import numpy as np
import vit_train

@dataclass(frozen=True, kw_only=True)
class Keys(vit_train.DatasetKeys):
    count: int = vit_train.key("images", default=8, minimum=1)

@vit_train.dataset("toy", Keys)
def toy(keys):
    images = np.random.default_rng(0).integers(0, 256, (keys.count, 8, 8, 3), np.uint8)
    part = vit_train.Examples(images, np.arange(keys.count, dtype=np.int32) % 2)
    return vit_train.Dataset("toy", part, part.take(np.arange(2)), ("a", "b"))
"""


def test_the_data_set_of_a_plugin(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(PLUGIN)
    assert vit_runs(["check", "dataset=toy", "--plugin", "own.py"]) == 0
    assert {(row["path"], row["kind"]) for row in rows("exclude")} == {("train/0", "leak"), ("train/1", "leak")}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["absent"], 3, "absent: cannot be read (No such file or directory)"),
        (["digits", "dataset.fraktion=1"], 2, "dataset.fraktion=1: there is no key"),
        (["digits", "dataset.fraction=0.1", "--output", "file/x"], 4, "--output file/x: cannot be written to (Not a d"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert vit_runs(["check", *arguments]) == code
    assert f"vit-runs: {message}" in capsys.readouterr().err
