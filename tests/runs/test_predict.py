import csv
import json

import numpy as np
import pytest
from PIL import Image

from vit_train.runs.cli import run as vit_runs
from vit_train.runs.loading import load

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def pictures(tmp_path):
    """Digits as they are, and pictures of other sizes and modes."""
    from vit_train.data.sources import load_digits

    folder = tmp_path / "pictures"
    (folder / "b").mkdir(parents=True)
    for index, image in enumerate(load_digits().test.images[:3]):
        Image.fromarray(image).save(folder / f"{index}.png")
    Image.new("L", (40, 30), 200).save(folder / "b" / "grey.JPG")
    Image.new("RGBA", (3, 5)).save(folder / "b" / "clear.webp")
    (folder / "b" / "notes.txt").write_text("no picture")
    return folder


def test_probabilities_are_those_of_the_model(trained, pictures, capsys):
    assert vit_runs(["predict", str(trained.path), str(pictures), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = ["0.png", "1.png", "2.png", "b/clear.webp", "b/grey.JPG"]
    assert [entry["picture"] for entry in found] == [str(pictures / name) for name in names]
    images = np.stack([np.asarray(Image.open(pictures / name)) for name in names[:3]])
    logits = load(trained)[0].predict(images, verbose=0).astype(np.float64)
    for entry, row in zip(found, logits, strict=False):
        expected = np.exp(row) / np.exp(row).sum()
        assert [int(best["name"]) for best in entry["classes"]] == np.argsort(-expected)[:5].tolist()
        shares = [best["probability"] for best in entry["classes"]]
        np.testing.assert_allclose(shares, np.sort(expected)[::-1][:5], atol=1e-6)


def test_csv_has_a_line_for_each_picture(trained, pictures, capsys):
    assert vit_runs(["predict", str(trained.path), str(pictures / "b"), str(pictures / "0.png"), "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["picture"].rsplit("/", 1)[1] for row in rows] == ["clear.webp", "grey.JPG", "0.png"]
    shares = [float(rows[2][f"probability_{place}"]) for place in range(1, 6)]
    assert shares == sorted(shares, reverse=True)
    assert rows[2]["class_5"] in "0123456789"


def test_as_many_classes_as_one_asks_for(trained, pictures, capsys):
    names = {str(digit) for digit in range(10)}
    for top, count in (("all", 10), ("2", 2), ("99", 10)):
        assert vit_runs(["predict", str(trained.path), str(pictures / "0.png"), "--json", "--top", top]) == 0
        ((entry),) = json.loads(capsys.readouterr().out)
        shares = [best["probability"] for best in entry["classes"]]
        assert len(shares) == count
        assert shares == sorted(shares, reverse=True)
        if count == 10:
            assert {best["name"] for best in entry["classes"]} == names
            assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert vit_runs(["predict", str(trained.path), str(pictures / "0.png"), "--csv", "--top", "all"]) == 0
    header, row = csv.reader(capsys.readouterr().out.splitlines())
    assert (len(header), header[-1], len(row)) == (21, "probability_10", 21)


def test_a_picture_that_cannot_be_read_does_not_stop_the_others(trained, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (pictures / "0a.png").write_bytes(b"no picture")
    (tmp_path / "empty").mkdir()
    places = ["absent.png", "pictures", "empty"]
    assert vit_runs(["predict", str(trained.path), *places]) == 3
    output = capsys.readouterr()
    errors = output.err.splitlines()
    assert [error.split(":")[1].strip() for error in errors] == ["absent.png", "pictures/0a.png", "empty"]
    assert "has no picture in it; they end in .avif .bmp .gif .heic " in errors[2]
    lines = output.out.splitlines()
    assert sum(line.startswith("pictures/") for line in lines) == 5
    assert sum(line.endswith("%") for line in lines) == 25


def test_more_pictures_than_fit_into_a_batch(trained, tmp_path, capsys):
    for index in range(70):
        Image.new("L", (8, 8), index).save(tmp_path / f"{index:02}.png")
    assert vit_runs(["predict", str(trained.path), str(tmp_path), "--csv"]) == 0
    assert [line.split("/")[-1][:2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        f"{i:02}" for i in range(70)
    ]
