"""What is kept in the cache folder for later runs, within a limit: what was unused for the longest time goes first."""

from contextlib import suppress
from pathlib import Path


def entries(folder: Path) -> list[Path]:
    """Its files, the one that was not used for the longest time first; raises OSError if they cannot be looked at."""
    times = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process has removed it
            if path.is_file() and not path.name.startswith("."):
                times[path] = path.stat().st_mtime
    return sorted(times, key=lambda path: times[path])


def trim(folder: Path, limit: int, since: float | None = None) -> int:
    """Removes files beyond `limit` bytes, but none that was used `since` then; returns the bytes that are left."""
    kept = 0
    for path in reversed(entries(folder)):
        with suppress(FileNotFoundError):
            about = path.stat()
            if kept + about.st_size > limit and (since is None or about.st_mtime < since):
                path.unlink()
            else:
                kept += about.st_size
    return kept
