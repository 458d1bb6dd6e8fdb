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


@pytest.mark.parametrize(
    ("name", "begins"), [("c.svg", b"<?xml"), ("c.PDF", b"%PDF"), ("c.jpg", b"\xff\xd8"), ("c", b"\x89PNG")]
)
def test_the_ending_is_the_format(tmp_path, name, begins):
    plot_curves({"A": [row(1, 0.1)]}, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_an_unknown_ending_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"^--plot .*c\.docx: .*its name may end in \.png, \.jpg"):
        plot_curves({"A": [row(1, 0.1)]}, tmp_path / "c.docx")


def test_a_place_that_takes_no_file_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"^--plot .*: cannot be written \(No such file or directory\); name another"):
        plot_curves({"A": [row(1, 0.1)]}, tmp_path / "absent" / "curves.png")
