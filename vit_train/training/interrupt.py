"""SIGTERM, SIGINT and SIGHUP (the terminal is gone): what a run does when it is told to stop.

Outside training there is nothing to save, and the first ends the process; in training it asks for a stop at the next
step, and a second ends the process.
"""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from vit_train.errors import Interrupted


def end_on_signals() -> None:
    """From now on, one of the signals ends this process, with 130 or 143, as soon as Python runs again.

    Not by an exception: C++ code that is being imported aborts on a KeyboardInterrupt. And not as the system would do
    it, which ignores SIGTERM in the first process of a container.
    """
    for number in _signals():
        signal.signal(number, _end)


def _signals() -> list[int]:
    """Those to take: none outside the main thread, which Python allows alone; not SIGHUP under nohup."""
    if threading.current_thread() is not threading.main_thread():
        return []
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return [number for number in numbers if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


def _end(number: int, frame: FrameType | None) -> None:
    with suppress(OSError):
        line_start = "\r\x1b[K" if os.isatty(2) else ""
        os.write(2, f"{line_start}vit-train: {Interrupted(number)}\n".encode())
    os._exit(Interrupted(number).exit_code)


class StopRequest:
    """While entered, remembers the first signal; `check` then ends the run where its state can be saved."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        self._previous = {number: signal.signal(number, self._receive) for number in _signals()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    def check(self) -> None:
        """Raises Interrupted if a signal has come."""
        if self.signal is not None:
            raise Interrupted(self.signal)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            _end(number, frame)
        self.signal = number
