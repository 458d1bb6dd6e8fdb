"""Pictures on the disk in the size that a model takes, so that a large photo is decoded once: `dataset.cache`."""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL

from vit_train.console import say_once
from vit_train.data import kept
from vit_train.errors import ConfigError
from vit_train.files import cache_folder

Pixels = npt.NDArray[np.uint8]
_MAGIC = b"vit-train picture 1\n"  # another number when a picture's file gives other pixels
_COARSE = 2.0  # seconds that a file's time may be behind the clock: milliseconds on Linux, 2 seconds on FAT


def folder() -> Path:
    """Where they are; may not exist yet."""
    return cache_folder() / "pictures"


class PictureCache:
    """Pixels of picture files by the file's path, size and time of change, and by how they were made of it.

    All are used and made by many threads, and by other runs. Whatever is not as it was written is made again.
    """

    def __init__(self, limit: int) -> None:
        """At most `limit` bytes of all pictures stay; those of other runs go first, and then no more are written."""
        try:
            self.limit, self.began, self.place = limit, time.time() - _COARSE, folder()
        except RuntimeError as error:
            raise ConfigError(f"dataset.cache: there is no home folder for it ({error}); set XDG_CACHE_HOME") from error
        self._lock = threading.Lock()
        self._room: int | None = None  # bytes, known when the first picture is to be written
        self._writes = True

    def pixels(self, path: Path, how: tuple[object, ...], shape: tuple[int, ...], make: Callable[[], Pixels]) -> Pixels:
        """What `make` gives of a file, uint8 of `shape`, from the disk where it can be; `how` says how it is made."""
        try:
            about = path.stat()
        except OSError:
            return make()  # which says what is wrong
        named = (str(path.absolute()), about.st_size, about.st_mtime_ns, shape, how, PIL.__version__)
        name = hashlib.sha256(repr(named).encode(errors="surrogateescape")).hexdigest()
        entry = self.place / name[:2] / name[2:]
        if (found := self._read(entry, shape)) is not None:
            return found
        made = make()
        if self._writes:
            self._write(entry, made)
        return made

    def _read(self, entry: Path, shape: tuple[int, ...]) -> Pixels | None:
        """The pixels that were written, or None if they are not there or damaged."""
        try:
            data = entry.read_bytes()
            if entry.stat().st_mtime < self.began:
                os.utime(entry)  # it was used
        except OSError:
            return None
        body = data[len(_MAGIC) + 32 :]
        if data[: len(_MAGIC) + 32] != _head(body) or len(body) != np.prod(shape):
            return None
        return np.frombuffer(body, np.uint8).reshape(shape)

    def _write(self, entry: Path, pixels: Pixels) -> None:
        """Keeps pixels if there is room; what fails is a note, and no more are written."""
        body = pixels.tobytes()
        data = _head(body) + body
        try:
            if not self._take(len(data)):
                return
            entry.parent.mkdir(parents=True, exist_ok=True)
            part = entry.with_name(f".{entry.name}-{os.getpid()}-{threading.get_ident()}")
            try:
                part.write_bytes(data)
                part.replace(entry)  # not flushed: what a crash leaves is seen to be damaged
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            self._writes = False
            reason = f"no more pictures are kept there ({error.strerror}), and the others decoded each time"
            say_once(f"note: {self.place}: {reason}")

    def _take(self, size: int) -> bool:
        """Whether there is room for `size` more bytes, which are taken then."""
        with self._lock:
            if self._writes and (self._room is None or self._room < size):
                # To less than the limit, since it takes a look at all of them.
                self._room = self.limit - kept.trim(self.place, int(0.9 * self.limit) - size, self.began)
            if self._room is None or self._room < size:
                self._writes = False
                full = f"note: dataset.cache={self.limit / 1e9:g}: is full, so the other pictures are decoded each time"
                say_once(f"{full}; raise it to keep all")
                return False
            self._room -= size
            return True


def _head(body: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(body).digest()
