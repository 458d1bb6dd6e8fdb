"""Against Pillow, whose bicubic filter on float images is the one that others resample positions with, too."""

import numpy as np
import pytest
from PIL import Image

from vit_train.models.positions import resample_positions


@pytest.mark.parametrize(("old", "new"), [(8, 6), (8, 8), (6, 16), (14, 24), (24, 14), (7, 3), (1, 4)])
def test_a_grid_is_resampled_as_pillow_does(old, new):
    table = np.random.default_rng(0).normal(size=(old * old, 5)).astype(np.float32)
    found = resample_positions(table, new).reshape(new, new, 5)
    for channel in range(5):
        image = Image.fromarray(table[:, channel].reshape(old, old))
        expected = np.asarray(image.resize((new, new), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(found[..., channel], expected, atol=2e-6)


def test_tokens_before_the_grid_stay():
    table = np.arange(10.0 * 2).reshape(10, 2)
    found = resample_positions(table, 6, prefix=1)
    assert found.shape == (37, 2)
    np.testing.assert_array_equal(found[0], table[0])
