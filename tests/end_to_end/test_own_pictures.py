"""Whole runs on folders of pictures."""

import csv
import json
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from vit_train import cli
from vit_train.config.compose import load_config
from vit_train.errors import CheckpointError, DataError
from vit_train.run import train
from vit_train.runs.cli import run as vit_runs

DOCS = Path(__file__).parents[2] / "docs" / "data.md"
SIZE = ("model.image_size=8", "model.patch_size=4", "model.projection_dim=8", "model.depth=1", "model.heads=2",
        "model.head_units=[16]")  # fmt: skip
GREY = "dataset.channels=1"
SETTINGS = (*SIZE, "dataset=folder", "dataset.validation=0.2", "train.epochs=2", "train.batch_size=16")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three classes of 25 pictures each, of different formats, sizes and modes."""
    root, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number, name in enumerate(("blue", "grün", "red")):
        (root / name).mkdir()
        for row in range(25):
            noise = generator.integers(0, 256, (*generator.integers(8, 40, 2), 3), np.uint8)
            noise[..., (2, 1, 0)[number]] |= 192
            suffix, mode = (("png", "RGBA"), ("jpg", "CMYK"), ("webp", "RGB"), ("gif", "P"), ("bmp", "L"))[row % 5]
            Image.fromarray(noise).convert(mode).save(root / name / f"{row}.{suffix}")
    return root


@pytest.fixture(scope="module")
def config(tmp_path_factory, pictures):
    outputs = tmp_path_factory.mktemp("outputs")
    return lambda *overrides: load_config(
        [*SETTINGS, f"dataset.root={pictures}", f"outputs={outputs}", "figures=false", *overrides]
    )


@pytest.fixture(scope="module")
def begun(eagerly, config):
    """The directory of a run of one epoch."""
    return Path(train(config("train.epochs=1")).run_dir)


@pytest.fixture(scope="module")
def whole(eagerly, config):
    """The report of a run of two epochs."""
    return train(config())


def figures(report):
    with (Path(report.run_dir) / "history.csv").open(newline="") as file:
        rows = [{name: row[name] for name in row if "second" not in name} for row in csv.DictReader(file)]
    return rows, report.test, report.per_class


@pytest.mark.slow
def test_files_train_as_the_same_images_in_memory_do(whole, config, monkeypatch):
    from vit_train.data import sources
    from vit_train.data.images import Dataset, Examples

    load = sources.load_dataset

    def in_memory(config):
        files = load(config)
        train, test = (Examples(part.read(np.arange(len(part))), part.labels) for part in (files.train, files.test))
        return Dataset("folder", train, test, files.class_names)

    monkeypatch.setattr(sources, "load_dataset", in_memory)
    assert figures(train(config())) == figures(whole)
    assert whole.split == {"train": 48, "validation": 12, "test": 15}
    assert [row.name for row in whole.per_class] == ["blue", "grün", "red"]


def test_the_model_takes_pictures_of_the_size_it_sees(begun, pictures):
    from vit_train import load_model
    from vit_train.data.image_files import read_image_file

    images = np.stack([read_image_file(path, 8, 8) for path in sorted(pictures.glob("red/*"))])
    assert load_model(str(begun / "model.keras")).predict(images, verbose=0).shape == (25, 3)


def test_fit_and_channels_are_kept_with_the_model(eagerly, config, pictures, capsys):
    """A run that pads grey pictures, draws and predicts as it was trained: as of the same picture made so by hand."""
    from vit_train import load_model, predict

    report = train(config("train.epochs=1", "dataset.fit=pad", "dataset.pad_colour=teal", GREY, "figures=true",
                          "augment=rand", "augment.placement=device"))  # fmt: skip
    run = Path(report.run_dir)
    assert "could not be made" not in capsys.readouterr().err
    assert {"attention.png", "augmentation.png", "filters.png", "mistakes.png", "patches.png"} <= {
        path.name for path in (run / "figures").iterdir()
    }
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 24, 3), np.uint8))
    picture.save(pictures.parent / "wide.png")
    padded = ImageOps.pad(picture, (8, 8), Image.Resampling.BICUBIC, "teal").convert("L")
    padded.save(pictures.parent / "padded.png")
    answers = [json.loads(predicted(run, pictures.parent / name, capsys))[0]["classes"] for name in
               ("wide.png", "padded.png")]  # fmt: skip
    assert answers[0] == answers[1]
    model = load_model(str(run / "model.keras"))
    assert model.input_shape == (None, 8, 8, 1)
    grey = np.asarray(padded)
    for array in (grey, grey[..., None], np.repeat(grey[..., None], 3, axis=-1)):
        np.testing.assert_allclose(predict(model, array).probabilities[0].max(), answers[0][0]["probability"], 1e-5)
    assert vit_runs(["evaluate", str(run)]) == 0
    with pytest.raises(
        CheckpointError, match=r"is of images with 1 channels, and these have 3; set dataset.channels=1"
    ):
        train(config("train.epochs=1", f"init={run}"))


def predicted(run, picture, capsys):
    capsys.readouterr()
    assert vit_runs(["predict", str(run), str(picture), "--json"]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("how", [["dataset.fit=crop"], ["dataset.fit=pad", "dataset.pad_colour=teal", GREY]])
def test_the_example_for_deployers_answers_as_predict_does(eagerly, config, tmp_path, capsys, how):
    run = train(config("train.epochs=1", *how)).run_dir
    assert vit_runs(["export", str(run), "--format", "onnx", "--output", str(tmp_path / "model.onnx")]) == 0
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL) if "onnx" in block)
    generator, folder = np.random.default_rng(3), tmp_path / "shown"
    folder.mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    wide = generator.integers(0, 256, (30, 70, 3), np.uint8)
    Image.fromarray(wide).resize((700, 300)).save(folder / "large.jpg", exif=turned)
    Image.fromarray(generator.integers(0, 256, (40, 30, 4), np.uint8)).save(folder / "transparent.png")
    Image.fromarray(generator.integers(0, 2**16, (40, 30)).astype(np.uint16)).save(folder / "sixteen.png")
    files = sorted(map(str, folder.iterdir()))
    told = subprocess.run(
        [sys.executable, "-c", example, *files], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    expected = json.loads(predicted(run, folder, capsys))
    for line, answer in zip(told.stdout.splitlines(), expected, strict=True):
        path, name, probability = line.split()
        assert (path, name) == (answer["picture"], answer["classes"][0]["name"])
        assert float(probability) == pytest.approx(answer["classes"][0]["probability"], abs=1e-5)


def test_other_pictures_are_another_run(begun, config, pictures):
    more = pictures / "red/more.png"
    Image.new("RGB", (9, 9)).save(more)
    try:
        with pytest.raises(DataError, match=rf"^{begun}: the pictures are not those that the run began with"):
            train(config(f"resume={begun}"))
    finally:
        more.unlink()


@contextmanager
def vanishing(part):
    """Meanwhile, a picture of "train" or "test" vanishes once it has been checked; gives a list with its path."""
    from vit_train.data import sources

    load, paths = sources.load_dataset, []

    def load_dataset(config):
        dataset = load(config)
        paths.append(Path(getattr(dataset, part).paths[0]))
        paths[0].rename(paths[0].with_suffix(".away"))
        return dataset

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "load_dataset", load_dataset)
        yield paths
    paths[0].with_suffix(".away").rename(paths[0])


def test_a_test_picture_that_vanishes_is_named_too(begun, config):
    with vanishing("test") as paths, pytest.raises(DataError) as error:
        train(config(f"resume={begun}", "train.epochs=1"))
    assert str(error.value).startswith(f"{paths[0]}: cannot be read (No such file or directory)")


@pytest.mark.slow
def test_a_picture_that_vanishes_stops_the_run_which_can_go_on(begun, whole, config):
    with vanishing("train") as paths, pytest.raises(DataError) as error:
        train(config(f"resume={begun}"))
    assert str(error.value).startswith(f"{paths[0]}: cannot be read (No such file or directory); fix that")
    assert str(error.value).endswith(f"; with the file as it was, resume={begun} continues")
    log = (begun / "train.log").read_text(encoding="utf-8")
    assert log.splitlines()[-1].endswith(f"ERROR {error.value}")
    assert "Traceback" not in log
    assert figures(train(config(f"resume={begun}"))) == figures(whole)


@pytest.mark.slow
def test_from_the_command_line_a_part_on_the_device(vit_train, pictures, tmp_path):
    settings = (f"dataset.root={pictures}", "dataset.fraction=0.8", "augment.placement=device")
    done = vit_train(*SETTINGS, *settings)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / done.stdout.splitlines()[-1] / "report.json").read_text())
    assert report["split"] == {"train": 39, "validation": 9, "test": 12}
    assert "Warning" not in done.stderr
    assert "could not be made" not in done.stderr
    run = tmp_path / done.stdout.splitlines()[-1]
    assert (run / "figures" / "augmentation.png").exists()
    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert all(Path(row["file"]).parent.name == row["label_name"] for row in rows)


def test_a_bad_folder_leaves_nothing_behind(tensorflow, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/a").mkdir(parents=True)
    assert cli.run([*SETTINGS, "dataset.root=mine"]) == 3
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    expected = "mine/a: has no JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC file; add pictures or remove the folder"
    assert stderr.splitlines()[-1] == f"vit-train: {expected}"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
