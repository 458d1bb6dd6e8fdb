"""The real files, where VIT_TRAIN_DATA names a folder with them."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from vit_train.data.cifar import OFFICIAL, load_cifar
from vit_train.data.images import Dataset, Examples
from vit_train.data.superclasses import superclasses_of

NAMES = ("cifar10", "cifar100")


@pytest.fixture(scope="module", params=NAMES)
def real(request: pytest.FixtureRequest) -> Dataset:
    root = os.environ.get("VIT_TRAIN_DATA")
    if root is None:
        pytest.skip("set VIT_TRAIN_DATA to a folder with the official cifar-10-batches-py and cifar-100-python")
    return load_cifar(request.param, root)


EXPECTED = {
    "cifar10": {
        "mean": (0.49140, 0.48216, 0.44653),
        "std": (0.24703, 0.24349, 0.26159),
        "classes": (10, "airplane", "truck"),
        "train": [6, 9, 9, 4, 1, 1],
        "test": [3, 8, 8, 0, 6, 6],
    },
    "cifar100": {
        "mean": (0.50707516, 0.48654887, 0.44091784),
        "std": (0.26733429, 0.25643846, 0.27615047),
        "classes": (100, "apple", "worm"),
        "train": [19, 29, 0, 11, 1, 86],
        "test": [49, 33, 72, 51, 71, 92],
    },
}

# (image, row, column): red, green, blue. Taken from the pixel string of the raw pickle, without numpy, at byte
# 3072 * image + 1024 * colour + 32 * row + column.
PIXELS = {
    ("cifar10", "train"): {
        (0, 0, 0): (59, 62, 63), (0, 0, 31): (148, 124, 103), (0, 31, 0): (177, 144, 116), (0, 10, 20): (140, 92, 76),
        (9999, 31, 31): (167, 198, 131), (9999, 5, 9): (155, 131, 110), (40000, 0, 0): (255, 255, 254),
        (40000, 10, 20): (128, 196, 180), (49999, 31, 31): (163, 163, 161), (49999, 5, 9): (128, 115, 114),
    },
    ("cifar10", "test"): {
        (0, 0, 0): (158, 112, 49), (0, 0, 31): (116, 85, 33), (0, 31, 0): (54, 107, 160), (0, 10, 20): (175, 165, 154),
        (9999, 31, 31): (27, 26, 26), (9999, 5, 9): (108, 118, 125),
    },
    ("cifar100", "train"): {
        (0, 0, 0): (255, 255, 255), (0, 0, 31): (182, 194, 167), (0, 31, 0): (87, 122, 41), (0, 10, 20): (16, 15, 27),
        (49999, 31, 31): (40, 37, 67), (49999, 5, 9): (28, 77, 138),
    },
    ("cifar100", "test"): {
        (0, 0, 0): (199, 215, 249), (0, 0, 31): (224, 234, 252), (0, 31, 0): (80, 85, 118),
        (0, 10, 20): (160, 140, 150), (9999, 31, 31): (146, 182, 118), (9999, 5, 9): (94, 88, 77),
    },
}  # fmt: skip


def test_real_shapes_and_types(real: Dataset) -> None:
    for examples, count in ((real.train, 50_000), (real.test, 10_000)):
        assert examples.images.shape == (count, 32, 32, 3)
        assert examples.images.dtype == np.uint8
        assert examples.images.flags.c_contiguous
        assert examples.labels.shape == (count,)
        assert examples.labels.dtype == np.int32


def test_real_mean_and_standard_deviation(real: Dataset) -> None:
    # Of counts of each value, in whole numbers: exact, and without 50,000 images as float64.
    counts = np.stack([np.bincount(real.train.images[..., c].ravel(), minlength=256) for c in range(3)])
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(axis=1)
    std = np.sqrt(counts @ values**2 / counts.sum(axis=1) - mean**2)
    np.testing.assert_allclose(mean, EXPECTED[real.name]["mean"], atol=5e-6)
    np.testing.assert_allclose(std, EXPECTED[real.name]["std"], atol=5e-6)


def test_real_classes(real: Dataset) -> None:
    names = real.class_names
    assert (len(names), names[0], names[-1]) == EXPECTED[real.name]["classes"]
    assert len(set(names)) == len(names)
    assert np.bincount(real.train.labels).tolist() == [50_000 // len(names)] * len(names)
    assert np.bincount(real.test.labels).tolist() == [10_000 // len(names)] * len(names)


@pytest.mark.parametrize("split", ["train", "test"])
def test_real_rows_are_in_the_official_order_and_the_right_way_up(real: Dataset, split: str) -> None:
    examples: Examples = getattr(real, split)
    assert examples.labels[:6].tolist() == EXPECTED[real.name][split]
    for place, pixel in PIXELS[real.name, split].items():
        assert tuple(examples.images[place]) == pixel, place


def test_the_tables_name_the_same_members() -> None:
    for files in OFFICIAL.values():
        assert set(files.md5) == {*files.train, files.test, files.meta}
        assert files.archive.endswith("-python.tar.gz")


def test_superclasses_are_those_of_the_rows(real):
    """The pairs of fine and coarse label in the official test rows, and the names in meta."""
    found = superclasses_of(real.name, real.class_names)
    if real.name == "cifar10":
        assert found is None
        return
    folder = next(Path(os.environ["VIT_TRAIN_DATA"]).rglob("cifar-100-python"))
    meta, test = (pickle.loads((folder / name).read_bytes(), encoding="latin1") for name in ("meta", "test"))
    assert list(found.names) == meta["coarse_label_names"]
    np.testing.assert_array_equal(found.index[test["fine_labels"]], test["coarse_labels"])
