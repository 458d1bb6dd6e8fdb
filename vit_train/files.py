"""Places, and writing files so that a crash at any instant leaves the old content or the new, never a part."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)  # of file systems that have no such call


def cache_folder() -> Path:
    """Where this program keeps what it can make again; may not exist yet. Raises RuntimeError if there is no home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vit-train"


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, with its suffix; the file gets its name, flushed, if the block ends well.

    Until then, and if the block raises or writes nothing, `path` is as it was.
    """
    part = path.with_name(f".part-{path.name}")
    part.unlink(missing_ok=True)  # of a process that was killed
    try:
        yield part
        if part.exists():
            with part.open("rb+") as file:
                flush(file.fileno())
            part.replace(path)
    except Exception:
        part.unlink(missing_ok=True)
        raise


def is_there(path: Path) -> bool:
    """Whether anything has that name, be it a link that leads nowhere."""
    return os.path.lexists(path)


def read_regular(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes.

    Raises OSError for a larger one, and for what is no regular file: a FIFO would never end, a device never stop.
    """
    with open(path, "rb", opener=at_once) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if about.st_size > most:
            raise OSError(errno.EFBIG, f"it has {about.st_size:,} bytes, and at most {most:,} are read", str(path))
        return file.read(most)


def read_json(path: Path, most: int = 2**26) -> Any:
    """What a regular JSON file of at most `most` bytes holds.

    Raises OSError if it cannot be read, and ValueError, one sentence, if it is no JSON.
    """
    try:
        return json.loads(read_regular(path, most))
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON, or a part of one") from error


def at_once(path: str, flags: int) -> int:
    """Opens a file; a FIFO, too, without waiting for who writes to it."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


def replace_file(path: Path, text: str) -> None:
    """Writes a small UTF-8 file in place of what `path` holds; raises OSError and leaves it alone if that fails.

    A file's name that is not UTF-8 has characters that UTF-8 cannot hold; they are written as escapes, such as \\udcff.
    """
    with written_beside(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        file.write(text)


def flush(descriptor: int) -> bool:
    """Waits until a file or folder is on the disk; False if its file system cannot say. Raises OSError otherwise."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
        return False
    return True


def flush_folder(folder: Path) -> bool:
    """Makes names that were created, renamed or removed in `folder` survive a power cut, as `flush` does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return flush(descriptor)
    finally:
        os.close(descriptor)
