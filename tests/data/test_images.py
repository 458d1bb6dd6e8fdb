from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_train.data.image_files import ImageFiles, read_image_file
from vit_train.data.images import Examples


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same 12 images in memory and as files."""
    folder, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    images = generator.integers(0, 256, (12, 7, 9, 3), np.uint8)
    paths = [str(folder / f"{row}.png") for row in range(12)]
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    labels, values = np.arange(12, dtype=np.int32) % 3, images.reshape(12, -1, 3).astype(np.int64)
    sums = np.stack([values.sum(axis=1), (values**2).sum(axis=1)], axis=1)
    return Examples(images, labels), ImageFiles(np.array(paths, object), labels, sums, (7, 9))


def test_files_and_memory_are_the_same_source(sources):
    rows = np.array([7, 2, 2, 11])
    for source in sources:
        assert (len(source), source.size) == (12, (7, 9))
        part = source.take(rows)
        assert len(part) == 4
        np.testing.assert_array_equal(part.labels, rows % 3)
        np.testing.assert_array_equal(part.read(np.arange(4)), sources[0].images[rows])


def test_statistics_of_channels(sources):
    images = sources[0].images[3:8].astype(float)
    for source in sources:
        mean, variance = source.take(np.arange(3, 8)).statistics()
        np.testing.assert_allclose(mean, images.mean((0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(variance, images.var((0, 1, 2)), rtol=1e-10)


def test_files_are_read_at_the_size_asked_for(sources):
    files = ImageFiles(sources[1].paths, sources[1].labels, sources[1].sums, (5, 5))
    for row, image in enumerate(files.read(np.arange(12))):
        np.testing.assert_array_equal(image, read_image_file(Path(files.paths[row]), 5, 5))
