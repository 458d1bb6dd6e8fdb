import io
import os
import struct
import subprocess
import sys
import zlib
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vit_train.config.dataset import Fitting
from vit_train.data import image_files
from vit_train.data.image_files import read_image_file
from vit_train.errors import DataError

GRADIENT = np.linspace(0, 255, 16 * 24 * 3).reshape(16, 24, 3).round().astype(np.uint8)
FORMATS = ("jpeg", "png", "webp", "bmp", "gif", "tiff", "avif")


def read_at_its_own_size(path):
    return read_image_file(path, 16, 24)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_under_any_name(tmp_path, kind):
    path = tmp_path / "without extension"
    Image.fromarray(GRADIENT).save(path, kind, **({"quality": 95} if kind in ("jpeg", "webp", "avif") else {}))
    pixels = read_at_its_own_size(path)
    assert (pixels.shape, pixels.dtype) == ((16, 24, 3), np.uint8)
    tolerance = 0 if kind in ("png", "bmp", "tiff") else 20
    np.testing.assert_allclose(pixels.astype(int), GRADIENT, atol=tolerance)


def test_heic_is_read_with_the_extra_and_named_without_it(tmp_path, monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "a.heic"
    pillow_heif.from_pillow(Image.fromarray(GRADIENT)).save(path, quality=95)
    np.testing.assert_allclose(read_at_its_own_size(path).astype(int), GRADIENT, atol=20)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"a\.heic: is damaged or cut short \("):
        read_at_its_own_size(path)


@pytest.mark.parametrize(
    ("brand", "message"),
    [
        (b"heic", r"is a picture in HEIF, which takes pip install 'vit-train\[heif\]'; or save it as JPEG$"),
        (b"avif", r"is a picture in AVIF, which takes a Pillow with AVIF: pip install --upgrade pillow; or save"),
        (b"isom", "is not a JPEG, PNG"),  # a film
    ],
)
def test_what_only_an_extra_reads_is_said(tmp_path, monkeypatch, brand, message):
    monkeypatch.setattr(image_files, "_formats", lambda: image_files.FORMATS)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x1cftyp" + brand + bytes(99))
    with pytest.raises(DataError, match=message):
        read_at_its_own_size(tmp_path / "a.jpg")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_is_what_a_viewer_shows(tmp_path, mode):
    path = tmp_path / "a.png"
    image = Image.fromarray(GRADIENT).convert(mode)
    image.save(path)
    np.testing.assert_array_equal(read_at_its_own_size(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    grey = np.linspace(0, 65535, 16 * 24).reshape(16, 24).astype(np.uint16)
    Image.fromarray(grey).save(path)
    expected = np.round(grey / 257).astype(np.uint8)
    np.testing.assert_array_equal(read_at_its_own_size(path), np.repeat(expected[..., None], 3, axis=-1))


def test_cmyk(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (24, 16), (0, 255, 255, 0)).save(path, quality=95)
    np.testing.assert_allclose(read_at_its_own_size(path).astype(int).mean((0, 1)), (255, 0, 0), atol=3)


def test_transparency_is_seen_on_white(tmp_path):
    rgba = Image.new("RGBA", (24, 16), (255, 0, 0, 0))
    rgba.paste((0, 0, 255, 102), (0, 0, 12, 16))  # two fifths of blue
    rgba.save(tmp_path / "rgba.png")
    Image.new("LA", (24, 16), (0, 102)).save(tmp_path / "la.png")
    Image.new("L", (24, 16), 7).save(tmp_path / "key.png", transparency=7)
    palette = Image.new("P", (24, 16), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.save(tmp_path / "palette.png", transparency=bytes([255, 102]))
    palette.save(tmp_path / "a.gif", transparency=1)
    colours = {path.name: read_at_its_own_size(path)[8, 4].tolist() for path in tmp_path.iterdir()}
    assert colours == {"rgba.png": [153, 153, 255], "la.png": [153] * 3, "key.png": [255] * 3,
                       "palette.png": [157] * 3, "a.gif": [255] * 3}  # fmt: skip
    assert read_at_its_own_size(tmp_path / "rgba.png")[8, 20].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tiff"])
def test_an_animation_is_its_first_frame(tmp_path, kind):
    path = tmp_path / "a"
    red, blue = Image.new("RGB", (24, 16), "red"), Image.new("RGB", (24, 16), "blue")
    red.save(path, kind, save_all=True, append_images=[blue, blue])
    np.testing.assert_allclose(read_at_its_own_size(path).astype(int).mean((0, 1)), (255, 0, 0), atol=3)


ORIENTATIONS = {1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: x.swapaxes(0, 1),
                6: np.rot90, 7: lambda x: np.rot90(x, 2).swapaxes(0, 1), 8: lambda x: np.rot90(x, -1)}  # fmt: skip


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_picture_is_turned_as_its_exif_block_says(tmp_path, orientation):
    """The file holds the upright picture turned back; numpy turns it."""
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ORIENTATIONS[orientation](GRADIENT).copy()).save(path, exif=exif)
    np.testing.assert_array_equal(read_at_its_own_size(path), GRADIENT)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("turn", [1, 6])
def test_a_picture_of_another_shape_is_fitted_as_pillow_does(tmp_path, fit, turn):
    stored = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = turn
    stored.save(tmp_path / "a.png", exif=exif)
    upright = stored if turn == 1 else stored.transpose(Image.Transpose.ROTATE_270)
    pad = partial(ImageOps.pad, color=(255, 128, 0))
    function = {"crop": ImageOps.fit, "pad": pad, "squash": Image.Image.resize}[fit]
    expected = function(upright, (24, 24), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(
        read_image_file(tmp_path / "a.png", 24, 24, fitting=Fitting(fit, "rgb(255,128,0)")), np.asarray(expected)
    )


def test_what_each_fit_keeps(tmp_path):
    """Of three white squares side by side, of which the outer ones are red and blue."""
    picture = np.full((16, 48, 3), 255, np.uint8)
    picture[:, :16], picture[:, 32:] = (255, 0, 0), (0, 0, 255)
    Image.fromarray(picture).save(tmp_path / "a.png")
    fits = (Fitting("crop"), Fitting("pad"), Fitting("squash"))
    crop, pad, squash = (read_image_file(tmp_path / "a.png", 48, 48, fitting=fitting) for fitting in fits)
    assert crop[24, [3, 24, 44]].tolist() == [[255] * 3] * 3
    assert pad[24, [8, 24, 40]].tolist() == squash[4, [4, 24, 44]].tolist() == [[255, 0, 0], [255] * 3, [0, 0, 255]]
    assert not pad[:16].any()
    assert not pad[32:].any()
    assert pad[16:32].max(axis=2).min() > 250


@pytest.mark.parametrize(("height", "width"), [(30, 90), (90, 30), (60, 60)])
def test_the_middle_is_kept_and_nothing_stretched(tmp_path, height, width):
    """A disc stays a disc in the centre of the result."""
    path, side = tmp_path / "a.png", min(height, width)
    rows, columns = np.mgrid[:height, :width]
    inside = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2) < side * 0.4
    Image.fromarray((inside * 255).astype(np.uint8)).save(path)
    grey = read_image_file(path, 20, 20)[..., 0] / 255.0
    assert grey.mean() == pytest.approx(np.pi * 0.16, abs=0.02)
    np.testing.assert_allclose(grey, grey[::-1], atol=0.01)
    np.testing.assert_allclose(grey, grey[:, ::-1], atol=0.01)
    np.testing.assert_allclose(grey, grey.T, atol=0.02)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_the_smallest_and_the_narrowest(tmp_path, size):
    path = tmp_path / "a.png"
    Image.new("RGB", size, "red").save(path)
    np.testing.assert_array_equal(read_at_its_own_size(path), np.broadcast_to([255, 0, 0], (16, 24, 3)))


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_scaling_down_averages_fine_detail(tmp_path, kind):
    path = tmp_path / "a"
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(path, kind, quality=95)
    np.testing.assert_allclose(read_image_file(path, 16, 16).astype(int)[2:-2, 2:-2], 128, atol=8)


def png(width, height, data):
    """A PNG file by hand: grey, 8 bits."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(data)))
    parts = (struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
             for name, body in (*chunks, (b"IEND", b"")))  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


WHOLE = encoded(Image.fromarray(np.tile(GRADIENT, (4, 4, 1))), "jpeg")
FAULTS = {
    "empty": (b"", "is empty, it has 0 bytes; replace or remove it"),
    "text": (
        b"not a picture\n" * 99,
        "is not a JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC picture; replace or remove it",
    ),
    "floats": (
        encoded(Image.new("F", (9, 9)), "tiff"),
        "has values of 32 bits, whose range nobody knows",
    ),
    "postscript": (
        encoded(Image.new("L", (9, 9)), "eps"),
        "is not a JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC picture",
    ),
    "cut": (WHOLE[: len(WHOLE) // 2], "is damaged or cut short (image file is truncated"),
    "header only": (WHOLE[:20], "is "),
    "bomb": (png(30_000, 30_000, b""), "is too large (Image size (900000000 pixels) exceeds limit of"),
    "169 megapixels": (
        png(13_000, 13_000, b""),
        "is too large (169,000,000 pixels to decode, above the limit",
    ),
    "no pixels": (png(9, 9, b""), "is damaged or cut short ("),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_with_the_file(tmp_path, fault):
    data, message = FAULTS[fault]
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read_at_its_own_size(path)
    assert str(error.value).startswith(f"{path}: {message}")
    assert path.read_bytes() == data


@pytest.mark.parametrize("kind", FORMATS)
def test_a_cut_picture_is_found(tmp_path, kind):
    path = tmp_path / "a"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(DataError, match=r"is (damaged|not a JPEG)"):
        read_at_its_own_size(path)


def test_what_cannot_be_opened(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    reasons = {"absent": "No such file", "link": "No such file", "loop": "Too many levels of symbolic links",
               ".": "Is a directory"}  # fmt: skip
    for name, reason in reasons.items():
        with pytest.raises(DataError, match=rf"cannot be read \({reason}.*fix that, replace or remove the file$"):
            read_at_its_own_size(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(GRADIENT).save(path)
    path.chmod(0)
    with pytest.raises(DataError, match=r"a.png: cannot be read \(Permission denied\)"):
        read_at_its_own_size(path)


def test_broken_exif_and_great_size_are_no_fault_and_no_warning(tmp_path):
    """In a process of its own, since pytest has its own filters."""
    exif = encoded(Image.fromarray(GRADIENT), "jpeg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03" * 3)
    (tmp_path / "a.jpg").write_bytes(exif)
    Image.new("1", (10_000, 10_000)).save(tmp_path / "b.png")
    code = "import sys, pathlib; from vit_train.data.image_files import read_image_file as read\n"
    code += "for name in sys.argv[1:]: print(read(pathlib.Path(name), 16, 24).shape)"
    command = [sys.executable, "-W", "always", "-c", code, tmp_path / "a.jpg", tmp_path / "b.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(16, 24, 3)\n" * 2, "")


SEEDS = [encoded(Image.fromarray(GRADIENT), kind) for kind in FORMATS]


@settings(max_examples=150, deadline=None)
@given(whole=st.sampled_from(SEEDS), data=st.data())
def test_any_bytes_are_a_picture_or_one_sentence(tmp_path_factory, whole, data):
    """Files with a few wrong bytes anywhere, cut anywhere, with anything behind."""
    changed = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=8)):
        changed[place] = data.draw(st.integers(0, 255))
    changed = changed[: data.draw(st.integers(0, len(whole)))] + data.draw(st.binary(max_size=40))
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(changed)
    try:
        pixels = read_image_file(path, 16, 24)
    except DataError as error:
        assert str(error).startswith(f"{path}: is ")
        assert "\n" not in str(error)
    else:
        assert (pixels.shape, pixels.dtype) == ((16, 24, 3), np.uint8)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"x\.png: is a pipe, a socket or a device and no file; remove it"):
        read_image_file(tmp_path / "x.png", 8, 8)
