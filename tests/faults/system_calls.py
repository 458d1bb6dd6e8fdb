"""Stops before, in or after the Nth system call that changes what is in a folder, in this process or for good."""

import builtins
import io
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WHEN = ("before", "in", "after")
_CALLS = ("mkdir", "fsync", "rename", "replace", "unlink", "rmdir")


class Stop(BaseException):
    """The end of a process, in a test that lives on."""


def stop() -> None:
    raise Stop


class Points:
    """Counts the calls that touch `folder`, and lets `act` happen `when` it comes to the one of this `number`."""

    def __init__(self, folder: str, number: int, when: str, act: Callable[[], None]) -> None:
        self.folder, self.number, self.when, self.act = folder, number, when, act
        self.count = itertools.count(1)

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """A call that happens as a whole."""
        if not _path(arguments[0], options.get("dir_fd")).startswith(self.folder):
            return function(*arguments, **options)
        here = next(self.count) == self.number
        if here and self.when != "after":
            self.act()
        result = function(*arguments, **options)
        if here:
            self.act()
        return result

    def write(self, file: Any, data: Any) -> int:
        """A call of which half may happen."""
        here = next(self.count) == self.number
        if here and self.when == "before":
            self.act()
        elif here and self.when == "in":
            file.write(data[: len(data) // 2])
            file.flush()
            self.act()
        written = int(file.write(data))
        if here:
            file.flush()
            self.act()
        return written


class _File:
    """An open file whose writes are counted."""

    def __init__(self, file: Any, points: Points) -> None:
        self.file, self.points = file, points

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, data: Any) -> int:
        return self.points.write(self.file, data)


@contextmanager
def patched(points: Points) -> Iterator[None]:
    """Sends the calls of Python code by way of `points`."""
    kept = {name: getattr(os, name) for name in _CALLS}
    opened = io.open

    def calling(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **options: points.call(function, *arguments, **options)

    def opening(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        result = opened(file, mode, *arguments, **options)
        counted = set(mode) & set("wx") and _path(file).startswith(points.folder)
        return _File(result, points) if counted else result

    try:
        for name, function in kept.items():
            setattr(os, name, calling(function))
        io.open = builtins.open = opening
        yield
    finally:
        for name, function in kept.items():
            setattr(os, name, function)
        io.open = builtins.open = opened


def _path(place: Any, folder: int | None = None) -> str:
    """The absolute path of what a call is about: a path, or a descriptor."""
    if isinstance(place, int):
        return str(Path(f"/proc/self/fd/{place}").readlink())
    base = Path(f"/proc/self/fd/{folder}").readlink() if folder is not None else Path.cwd()
    return str(Path(base, os.fsdecode(place)))


def each(folder: Path, action: Callable[[], None]) -> Iterator[bool]:
    """Runs `action` once for each point, stops it there, and yields True; then to its end, and yields False.

    Who asks has to put back what was before.
    """
    for when in WHEN:
        for number in itertools.count(1):
            try:
                with patched(Points(str(folder), number, when, stop)):
                    action()
            except Stop:
                yield True
            else:
                break
    yield False
