import io

import numpy as np
import pytest
from PIL import Image

from vit_train.data import lookalikes
from vit_train.data.lookalikes import describe, mirrored, nearest


def pictures(count, seed=0, side=32):
    """Smooth noise, of which no two are alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (count, 6, 6), np.uint8)
    return [Image.fromarray(each).resize((side, side), Image.Resampling.BICUBIC) for each in noise]


def thumbnails(images):
    return np.stack([np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BILINEAR)) for image in images])


def test_a_ramp_has_one_direction():
    """By hand: a gradient counts in its own direction with 1, in the two beside it with the cube of cos 45 degrees."""
    ramp = np.tile(np.arange(32, dtype=np.uint8) * 4, (32, 1))
    (cells,) = describe(np.stack([ramp])).reshape(1, 8, 8, 8)
    shares = (cells**2).sum(axis=(1, 2))
    beside = np.sqrt(0.5) ** 3
    np.testing.assert_allclose(shares / shares[0], [1, beside, 0, 0, 0, 0, 0, beside], atol=1e-5)
    np.testing.assert_allclose(shares.sum(), 1, atol=1e-5)
    np.testing.assert_allclose(describe(np.stack([ramp.T])).reshape(8, 64)[2], cells[0].T.ravel(), atol=1e-5)


def test_one_colour_is_like_nothing():
    flat = describe(np.full((2, 32, 32), 99, np.uint8))
    assert not flat.any()
    assert nearest([flat])[0][0].tolist() == [-1, -1]


def test_mirrored_is_as_of_the_mirrored_picture():
    grey = thumbnails(pictures(3))
    np.testing.assert_allclose(mirrored(describe(grey)), describe(grey[:, :, ::-1]), atol=1e-5)


def jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(file)


@pytest.mark.parametrize(
    "change",
    [
        jpeg,
        lambda image: image.resize((20, 20), Image.Resampling.BICUBIC),
        lambda image: image.point(lambda value: 0.6 * value + 40),
        lambda image: Image.fromarray(np.pad(np.asarray(image), ((1, 0), (1, 0)), mode="edge")[:32, :32]),
        lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    ],
)
def test_a_copy_finds_its_picture_and_no_other(change):
    images = pictures(40)
    parts = [describe(thumbnails(images)), describe(thumbnails(map(change, images)))]
    (own, there), (back, _) = nearest(parts)
    assert own.tolist() == [-1] * 40
    assert there.tolist() == back.tolist() == list(range(40))


def test_the_most_alike_across_blocks_is_that_of_a_plain_search(monkeypatch):
    monkeypatch.setattr(lookalikes, "_ROWS", 7)
    generator = np.random.default_rng(0)
    middle = generator.random((6, 512), np.float32)
    parts = []
    for count in (25, 16):
        rows = middle[generator.integers(0, 6, count)] + generator.normal(0, 0.1, (count, 512)).astype(np.float32)
        parts.append(np.abs(rows) / np.linalg.norm(rows, axis=1, keepdims=True))
    parts[0][20] = parts[0][3]
    found = nearest(parts)
    for first, mine in enumerate(parts):
        for second, theirs in enumerate(parts):
            likeness = np.maximum(mine @ theirs.T, mirrored(mine) @ theirs.T)
            if first == second:
                likeness[np.triu_indices(len(mine))] = 0  # only the rows before
            expected = np.where(likeness.max(axis=1) >= 0.97, likeness.argmax(axis=1), -1)
            assert found[first][second].tolist() == expected.tolist()
            assert 0 < (expected >= 0).sum() < len(mine) or first != second
    assert found[0][0][20] == 3
