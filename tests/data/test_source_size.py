"""augment.source_size: training sees crops of finer pictures, and nothing else does."""

import numpy as np
import pytest
from data.test_folder import write_classes
from PIL import Image

from vit_train import cli
from vit_train.config.compose import load_config
from vit_train.data.pipeline import as_read, evaluation_batches, training_batches
from vit_train.data.sources import load_all

SMALL = ("augment=none", "model.image_size=16", "model.patch_size=4", "train.batch_size=4")
QUARTER = ("augment.crop_scale=[0.25,0.25]", "augment.crop_ratio=[1,1]")


@pytest.fixture
def stripes(tmp_path):
    """A folder of pictures of 128 x 128 pixels with black and white stripes, four pixels of each."""
    columns = np.where(np.arange(128) // 4 % 2, 255, 0).astype(np.uint8)
    picture = Image.fromarray(np.tile(columns[None, :, None], (128, 1, 3)))
    for place in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / "stripes" / place).mkdir(parents=True)
        for number in range(4):
            picture.save(tmp_path / "stripes" / place / f"{number}.png")
    return tmp_path / "stripes"


def images_of(kind, root, *overrides):
    """What training and what evaluation see: float32 [B, S, S, 3] each."""
    config = load_config([f"dataset={kind}", f"dataset.root={root}", *SMALL, *overrides])
    train = load_all(config).train
    return [np.concatenate([images for images, _ in batches.as_numpy_iterator()])
            for batches in (training_batches(train, config, 0, 2), evaluation_batches(train, config))]  # fmt: skip


def test_a_crop_shows_what_is_too_fine_for_the_whole_picture(tensorflow, stripes):
    coarse, seen = images_of("folder", stripes, *QUARTER)
    fine, seen_too = images_of("folder", stripes, *QUARTER, "augment.source_size=32")
    assert coarse.std() < 10  # stripes of half a pixel are grey
    assert fine.std() > 40  # those of one are seen, blurred where a crop begins between two
    np.testing.assert_array_equal(seen, seen_too)


def test_without_a_crop_it_is_the_picture_made_half_as_large(tensorflow, tmp_path):
    write_classes(tmp_path / "pets", ["cat", "dog"], 20)
    overrides = [f"dataset.root={tmp_path}/pets", *SMALL, "augment.source_size=32"]
    config = load_config(["dataset=folder", *overrides])
    train = load_all(config).train
    halves = as_read(train, config).read(np.arange(len(train))).reshape(-1, 16, 2, 16, 2, 3).mean((2, 4))
    batches = training_batches(train, config, 0, len(train) // 4)
    images = np.concatenate([images for images, _ in batches.as_numpy_iterator()])
    distance = np.abs(images[:, None] - halves).max((2, 3, 4))
    assert distance.min(1).max() < 0.01
    assert sorted(distance.argmin(1)) == [*range(len(train))]


def test_pictures_in_a_parquet_file_are_read_so_too(tensorflow, stripes, tmp_path, monkeypatch):
    from data.test_arrow import parquet, rows_of, table_of  # skips without pyarrow

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parquet.write_table(table_of(rows_of(stripes, "train", "test")), tmp_path / "x.parquet")
    for expected, found in zip(
        images_of("folder", stripes, *QUARTER, "augment.source_size=32"),
        images_of("table", tmp_path / "x.parquet", *QUARTER, "augment.source_size=32"),
        strict=True,
    ):
        np.testing.assert_array_equal(expected, found)


def test_a_run_trains_with_it_and_shows_it(tensorflow, stripes, tmp_path):
    arguments = [*SMALL, *QUARTER, "augment.source_size=32", "train.epochs=1", "model.depth=1"]
    assert cli.run(["dataset=folder", f"dataset.root={stripes}", f"outputs={tmp_path}/outputs", *arguments]) == 0
    assert [*tmp_path.glob("outputs/*/*/figures/augmentation.png")]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["dataset=digits"], "augment.source_size=32: is for picture files, and dataset=digits has none; use null"),
        (["model.image_size=12"], "augment.source_size=32: must be 12 to 24, once to twice model.image_size=12"),
        (["model.image_size=64"], "augment.source_size=32: must be 64 to 128, once to twice model.image_size=64"),
        (["augment.placement=device"], "augment.source_size=32: is made for augment.placement=host; use that"),
    ],
)
def test_where_it_makes_no_sense_it_is_refused(arguments, sentence, tmp_path, capsys):
    command = ["dataset=folder", "dataset.root=pets", f"outputs={tmp_path}/outputs", *SMALL, "augment.source_size=32"]
    assert cli.run([*command, *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()
