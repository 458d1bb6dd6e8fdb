import numpy as np
import pytest
from matplotlib import colors, image
from runs.conftest import row

from vit_train.errors import ConfigError
from vit_train.runs.curves import plot_curves


@pytest.mark.parametrize("early", [False, True])
def test_each_run_has_its_colour(tmp_path, early):
    runs = {"A one": [row(1, 0.1)], "B three": [row(epoch, epoch / 10) for epoch in (1, 2, 3)], "C none": []}
    plot_curves(runs, tmp_path / "curves.png", early)
    pixels = image.imread(tmp_path / "curves.png")[..., :3]
    assert pixels.shape[1] > pixels.shape[0] > 400
    left, right = np.array_split(pixels, 2, axis=1)
    for half in (left, right):
        for color in ("C0", "C1", "C2"):
            assert (np.abs(half - colors.to_rgb(color)).max(-1) < 0.01).sum() > 20


def test_a_place_that_takes_no_file_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"^--plot .*: cannot be written \(No such file or directory\); name another"):
        plot_curves({"A": [row(1, 0.1)]}, tmp_path / "absent" / "curves.png")
