"""Places, and writing files so that a crash at any instant leaves the old content or the new, never a part."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where this program keeps what it can make again; may not exist yet. Raises RuntimeError if there is no home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vit-train"


def replace_file(path: Path, text: str) -> None:
    """Writes a small UTF-8 file in place of what `path` holds; raises OSError and leaves it alone if that fails."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def flush_folder(folder: Path) -> None:
    """Makes names that were created, renamed or removed in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
