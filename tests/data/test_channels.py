"""dataset.channels: colours and grey, wherever images come from."""

import numpy as np
import pytest
from data.test_folder import write_classes
from data.test_table import HEADER, rows_of, write_table
from PIL import Image

from vit_train.config.compose import load_config
from vit_train.config.dataset import Fitting
from vit_train.data.image_files import read_image_file
from vit_train.data.images import Examples, with_channels
from vit_train.data.sources import load_all
from vit_train.errors import ConfigError

SMALL = ("model.image_size=8", "model.patch_size=4", "dataset.channels=1")
COLOURS = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)


def grey_of(images):
    return np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])[..., None]


def test_grey_is_pillows_to_the_bit():
    every = np.stack(np.meshgrid(*[np.arange(0, 256, 5, np.uint8)] * 3), axis=-1).reshape(1, -1, 1, 3)
    np.testing.assert_array_equal(with_channels(every, 1), grey_of(every))
    np.testing.assert_array_equal(with_channels(COLOURS, 1), grey_of(COLOURS))
    np.testing.assert_array_equal(with_channels(with_channels(grey_of(COLOURS), 3), 1), grey_of(COLOURS))
    assert with_channels(COLOURS, 3) is COLOURS


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "I;16"])
def test_files_of_every_mode(tmp_path, mode):
    pixels = np.random.default_rng(1).integers(0, 256, (16, 24, 4), np.uint8)
    wide = Image.fromarray(256 * pixels[..., 0].astype(np.uint16))
    image = wide if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / "a.png")
    found = read_image_file(tmp_path / "a.png", 16, 24, fitting=Fitting(channels=1))
    np.testing.assert_array_equal(found, grey_of([read_image_file(tmp_path / "a.png", 16, 24)])[0])
    if mode == "I;16":
        np.testing.assert_array_equal(found[..., 0], np.round(pixels[..., 0] * (256 / 257)).astype(np.uint8))


def all_of(part):
    return part.read(np.arange(len(part)))


def test_every_source_gives_the_same_grey_images(tmp_path, monkeypatch):
    from data.test_arrow import parquet, table_of  # skips without pyarrow
    from data.test_arrow import rows_of as packed_rows_of

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "pets"
    for part in ("train", "test"):
        write_classes(root / part, ["cat", "dog"], 5, seed=len(part))
    write_table(root / "labels.csv", [HEADER, *rows_of(root)])
    parquet.write_table(table_of(packed_rows_of(root, "train", "test")), root / "pets.parquet")
    colours = load_all(load_config(["dataset=folder", f"dataset.root={root}", *SMALL[:2]]))
    labels = {"y_train": colours.train.labels, "y_test": colours.test.labels}
    parts = {"x_train": all_of(colours.train), "x_test": all_of(colours.test)}
    np.savez(tmp_path / "colours.npz", **parts, **labels)
    np.savez(tmp_path / "grey.npz", x_train=grey_of(parts["x_train"])[..., 0], x_test=parts["x_test"], **labels)
    for kind, path in (("folder", root), ("table", root / "labels.csv"),
                       ("table", root / "pets.parquet"), ("npz", tmp_path / "colours.npz"),
                       ("npz", tmp_path / "grey.npz")):  # fmt: skip
        found = load_all(load_config([f"dataset={kind}", f"dataset.root={path}", *SMALL]))
        for mine, colour in ((found.train, parts["x_train"]), (found.test, parts["x_test"])):
            assert mine.channels == 1
            np.testing.assert_array_equal(all_of(mine), grey_of(colour))
            expected = Examples(grey_of(colour), mine.labels).statistics()
            np.testing.assert_allclose(mine.statistics(), expected, rtol=1e-12)


def test_digits_are_grey_once():
    once, three = (load_all(load_config(["dataset=digits", f"dataset.channels={count}"])) for count in (1, 3))
    np.testing.assert_array_equal(once.train.images, three.train.images[..., :1])


@pytest.mark.parametrize("placement", ["host", "device"])
def test_a_grey_image_is_varied_as_three_equal_channels_are(tensorflow, placement):
    """All operations, and erasing, on images of one channel and on the same as three."""
    from vit_train.data.pipeline import training_batches
    from vit_train.models.resample import Augment

    grey, labels = with_channels(COLOURS, 1), np.zeros(60, np.int32)
    config = load_config(["dataset=digits", *SMALL, "augment=rand", "augment.erase=0.5", "augment.magnitude=9",
                          f"augment.placement={placement}", "train.batch_size=60"])  # fmt: skip
    one, three = (
        next(iter(training_batches(Examples(with_channels(grey, count), labels), config, 0, 1)))[0] for count in (1, 3)
    )
    if placement == "device":
        one, three = Augment(8)(one), Augment(8)(three)
    assert one.shape == (60, 8, 8, 1)
    np.testing.assert_allclose(np.repeat(one, 3, axis=-1), three, atol=1.001)  # a third rounding, of the luminance
    assert (np.abs(np.repeat(one, 3, axis=-1) - three) > 0.01).mean() < 0.05


def test_a_check_looks_at_grey_pictures_too(tmp_path, monkeypatch, capsys):
    from vit_train.runs.cli import run as vit_runs

    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "pets", ["cat", "dog"], 5)
    assert vit_runs(["check", "pets", "dataset.channels=1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "check/check.html"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.channels=2"], "dataset.channels=2: must be one of 1, 3"),
        (
            ["dataset.channels=1", "model.mean=[0.5,0.5,0.5]", "model.std=[0.5,0.5,0.5]"],
            "dataset.channels=1: model.mean and model.std are of three, as weights that began with colours have them; ",
        ),
        (["dataset.pad_colour=white"], "dataset.pad_colour=white: is for dataset.fit=pad, not for crop"),
        (
            ["dataset=folder", "dataset.root=x", "dataset.fit=pad", "dataset.pad_colour=whit"],
            "dataset.pad_colour=whit: is no colour; give a name such as white, or such as '#7f7f7f' or ",
        ),
        (
            ["dataset=folder", "dataset.root=x", "dataset.fit=pad", "dataset.pad_colour='#ffffff00'"],
            "dataset.pad_colour=#ffffff00: is no colour; give a name such as white, or such as '#7f7f7f' or ",
        ),
    ],
)
def test_what_does_not_go_together(overrides, message):
    with pytest.raises(ConfigError) as error:
        load_config(overrides)
    assert str(error.value).startswith(message)
