"""Picture files of any size and kind -> pixels of the size asked for."""

import hashlib
import importlib
import io
import stat
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError, features

from vit_train.config.dataset import AS_IT_IS, Fit, Fitting
from vit_train.data.images import Indices
from vit_train.data.picture_cache import PictureCache
from vit_train.errors import DataError

# What a file is tells its content, not its name. Pillow knows more formats; some of them start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
KINDS = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC"  # as a user is told them
# The brands of ISO base media files, after the bytes "ftyp" -> what Pillow calls such a picture, and how it is had.
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), ("AVIF", "a Pillow with AVIF: pip install --upgrade pillow")),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
                    ("HEIF", "pip install 'vit-train[heif]'")),
}  # fmt: skip
_FITS: dict[Fit, Callable[..., Image.Image]] = {"crop": ImageOps.fit, "pad": ImageOps.pad, "squash": Image.Image.resize}
MAX_PIXELS = 100_000_000  # where no config says dataset.max_pixels

# Pillow warns of large pictures and of broken EXIF blocks, which are read all the same. `catch_warnings` cannot be used
# here: it changes the filters of all threads, and pictures are read in many.
warnings.filterwarnings("ignore", module="PIL")


def read_image_file(
    path: Path, height: int, width: int, max_pixels: int = MAX_PIXELS, fitting: Fitting = AS_IT_IS
) -> npt.NDArray[np.uint8]:
    """uint8 [height, width, C], RGB or grey: the picture, scaled with antialiasing (bicubic, as Pillow does it).

    Where its shape is another, `fitting` says whether its middle is taken, all of it with a colour beside, or all of it
    stretched.

    It is turned as its EXIF block says; of an animation or several pages it is the first, of a transparent picture what
    is seen on white, and 16 bits are scaled to 8.

    Raises DataError, naming the file, if it is absent, unreadable, empty, damaged, no file but a pipe or a device, of
    another kind, of more than 16 bits, or has more than `max_pixels` to decode, which are fewer than those of a JPEG
    that is far larger than what is asked for.
    """
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # to open a pipe is to wait for its other end
            raise DataError(f"{path}: is a pipe, a socket or a device and no file; remove it")
        with path.open("rb") as file:
            return decoded(str(path), file, height, width, max_pixels, fitting)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read ({reason}); fix that, replace or remove the file") from error


def decoded(
    path: str, file: IO[bytes], height: int, width: int, max_pixels: int, fitting: Fitting = AS_IT_IS
) -> npt.NDArray[np.uint8]:
    """As `read_image_file`, of the content of a file that is open, and is called `path` in errors."""
    if not file.read(1):
        raise DataError(f"{path}: is empty, it has 0 bytes; replace or remove it")
    file.seek(0)
    try:
        with Image.open(file, formats=_formats()) as image:
            side = 2 * max(height, width)
            image.draft(None, (side, side))  # a JPEG need not be decoded much larger than it will be
            if (pixels := image.width * image.height) > max_pixels:
                raise Image.DecompressionBombError(f"{pixels:,} pixels to decode, above the limit of {max_pixels:,}")
            image.load()
            with suppress(Exception):  # a broken EXIF block does not spoil the pixels
                ImageOps.exif_transpose(image, in_place=True)
            return fitted(image, height, width, fitting)
    except UnidentifiedImageError:
        file.seek(0)
        raise DataError(f"{path}: {_what_else(file.read(12))}") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: is too large ({error}); scale it down or raise dataset.max_pixels") from error
    except _UnknownRangeError:
        raise DataError(f"{path}: has values of 32 bits, whose range nobody knows; save it with 8 or 16 bits") from None
    except Exception as error:  # what decoders raise for damaged bytes is of every class
        raise DataError(f"{path}: is damaged or cut short ({error}); replace or remove it") from error


def fitted(image: Image.Image, height: int, width: int, fitting: Fitting) -> npt.NDArray[np.uint8]:
    """uint8 [height, width, C]: a picture as `read_image_file` has it; one of that size keeps its pixels."""
    fit = partial(ImageOps.pad, color=fitting.pad_colour) if fitting.fit == "pad" else _FITS[fitting.fit]
    square = fit(_rgb(image), (width, height), Image.Resampling.BICUBIC)
    return np.asarray(square) if fitting.channels == 3 else np.asarray(square.convert("L"))[..., None]


@cache
def _formats() -> tuple[str, ...]:
    """FORMATS, and AVIF and HEIF (of which HEIC is one) where they can be read."""
    avif = ("AVIF",) if features.check("avif") else ()
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return (*FORMATS, *avif)
    return (*FORMATS, *avif, "HEIF")


def _what_else(start: bytes) -> str:
    """What to say of a file that begins like this and that no reader of `_formats` takes."""
    name, remedy = _BRANDS.get(start[8:12], ("", "")) if start[4:8] == b"ftyp" else ("", "")
    if name and name not in _formats():
        return f"is a picture in {name}, which takes {remedy}; or save it as JPEG"
    return f"is not a {KINDS} picture; replace or remove it"


class _UnknownRangeError(Exception):
    """Nothing says what is black and what is white."""


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise _UnknownRangeError
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip at 255
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """An ImageSource on disk: only paths, labels and sums are in memory, a picture is read each time it is needed."""

    paths: npt.NDArray[np.object_]  # str [N]
    labels: npt.NDArray[np.int32]
    sums: npt.NDArray[np.int64]  # [N, 2, C]: of the values of each picture's channels, and of their squares
    size: tuple[int, int]
    max_pixels: int = MAX_PIXELS  # this and the next as of `read_image_file`
    fitting: Fitting = AS_IT_IS
    cache: PictureCache | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        """C: 3 or 1."""
        return self.fitting.channels

    def take(self, indices: Indices) -> "ImageFiles":
        """The examples at `indices`, in that order."""
        return replace(self, paths=self.paths[indices], labels=self.labels[indices], sums=self.sums[indices])

    def read(self, indices: Indices) -> npt.NDArray[np.uint8]:
        """The pictures at `indices`; raises DataError, naming the file, if one is no longer there or sound."""
        return np.stack([self._pixels(Path(path)) for path in self.paths[indices]])

    def _pixels(self, path: Path) -> npt.NDArray[np.uint8]:
        def read() -> npt.NDArray[np.uint8]:
            return read_image_file(path, *self.size, self.max_pixels, self.fitting)

        if self.cache is None:
            return read()
        return self.cache.pixels(path, (self.max_pixels, self.fitting), (*self.size, self.channels), read)

    def look(self, row: int) -> tuple[npt.NDArray[np.uint8], bytes]:
        """A picture, uint8 [H, W, C], and the sha256 of its file; raises DataError as `read` does."""
        path = Path(self.paths[row])
        pixels = self._pixels(path)
        try:
            with path.open("rb") as file:
                return pixels, hashlib.file_digest(file, "sha256").digest()
        except OSError as error:  # it was there a moment ago
            raise DataError(f"{path}: cannot be read ({error.strerror}); fix that") from error

    def open(self, row: int) -> io.BufferedReader:
        """A picture's file, to be read; raises OSError."""
        return Path(self.paths[row]).open("rb")

    def statistics(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """From the sums; nothing is read."""
        return moments_of_sums(self.sums, self.size)


def moments_of_sums(
    sums: npt.NDArray[np.int64], size: tuple[int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and variance of each channel, float64 [C] each, of N images of `size` with sums int64 [N, 2, C]."""
    mean, mean_of_squares = sums.sum(axis=0) / (len(sums) * size[0] * size[1])
    return mean, mean_of_squares - mean**2
