"""Against Pillow, whose bicubic filter on float images is the one that others resample positions with, too."""

import numpy as np
import pytest
from PIL import Image

from vit_train.models.positions import grid_matrix


@pytest.mark.parametrize(("old", "new"), [(8, 6), (8, 8), (6, 16), (14, 24), (24, 14), (7, 3), (1, 4)])
def test_a_grid_is_resampled_as_pillow_does(old, new):
    table = np.random.default_rng(0).normal(size=(old * old, 5)).astype(np.float32)
    found = (grid_matrix(old, new) @ table).reshape(new, new, 5)
    for channel in range(5):
        image = Image.fromarray(table[:, channel].reshape(old, old))
        expected = np.asarray(image.resize((new, new), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(found[..., channel], expected, atol=2e-6)
