"""Names in figures, whatever is in them; and figures on pages of any colour."""

import warnings

import numpy as np
import pytest
from matplotlib import image

from vit_train.report import canvas
from vit_train.report.confusion import draw_confusion


@pytest.fixture
def fonts(monkeypatch):
    """Writes with DejaVu Sans and fonts that have the characters of each text: `fonts("猫")`."""

    def give(*more):
        dejavu = canvas._fonts()["DejaVu Sans"]
        monkeypatch.setattr(
            canvas, "_fonts", lambda: {"DejaVu Sans": dejavu} | {text: set(map(ord, text)) for text in more}
        )

    return give


def test_what_no_font_has_is_seen_as_an_escape(fonts):
    fonts()
    assert canvas.legible("a 猫 é\n🐈\u202e\udcff") == "a \\u732b é\\n\\U0001f408\\u202e\\udcff"
    fonts("猫")
    assert canvas.legible("a 猫 é") == "a 猫 é"


def test_no_name_is_mathematics_loses_a_figure_or_warns(tmp_path):
    names = ("$x^2$ $", "$", "猫🐈", "a\x1b\n", "\\frac{", "{}", "a very long name that has to be cut")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas.save(lambda: draw_confusion(np.eye(len(names)), names), tmp_path / "confusion.png")
    drawn = draw_confusion(np.eye(2), ("$x^2$", "b"))
    assert drawn.axes[0].get_yticklabels()[0].get_text() == "$x^2$"
    assert (tmp_path / "confusion.png").exists()


@pytest.mark.parametrize(("images", "background"), [(False, [1, 1, 1, 1]), (True, [0, 0, 0, 0])])
def test_images_have_no_paper_under_them_and_charts_have(tmp_path, images, background):
    canvas.save(lambda: canvas.figure("title", 3, 1, images=images), tmp_path / "a.png")
    pixels = image.imread(tmp_path / "a.png")
    assert (pixels[-1, -1] == background).all() or (images and pixels[-1, -1, 3] == 0)
    darkest = pixels[pixels[..., 3] == 1][:, :3].min()
    assert darkest == pytest.approx(0x76 / 255 if images else 0, abs=0.02)
