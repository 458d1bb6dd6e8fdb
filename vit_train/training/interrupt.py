"""SIGTERM, SIGINT and SIGHUP (the terminal is gone): what a run does when it is told to stop.

Outside training there is nothing to save, and the first ends the process; in training it asks for a stop at the next
step, and a second ends the process.
"""

import os
import signal
import sys
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
    global _ends_process
    _ends_process = True
    for number in _signals():
        signal.signal(number, _end)


_ends_process = False  # who only calls `train`, as in a notebook, keeps the process


def _signals() -> list[int]:
    """Those to take: none outside the main thread, which Python allows alone; not SIGHUP under nohup."""
    if threading.current_thread() is not threading.main_thread():
        return []
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return [number for number in numbers if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


def _end(number: int, frame: FrameType | None) -> None:
    if _ending.acquire(blocking=False):
        _write(f"vit-train: {Interrupted(number)}", "\x1b[?25h")  # a bar had hidden the cursor
        os._exit(Interrupted(number).exit_code)


_ending = threading.Lock()


def _write(text: str, code: str = "") -> None:
    """A line on stderr in the place of an unfinished one, after a control code; past Rich, which may be busy."""
    with suppress(OSError):
        number = getattr(sys.modules.get("vit_train.console"), "person", 2)  # which --help does not load
        os.write(number, (f"\r\x1b[K{code}{text}\n" if os.isatty(number) else f"{text}\n").encode())


class StopRequest:
    """While entered, remembers the first signal; `check` then ends the run where its state can be saved.

    Python's own handler waits while C++ compiles or takes a step. So a thread hears of the signal, too, which says at
    once that it has come, and ends the process on a second one.
    """

    def __init__(self, heeded: bool = True) -> None:
        self.signal: int | None = None
        self._handler: Any = self._receive if heeded else signal.SIG_IGN
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        self._previous = {number: signal.signal(number, self._handler) for number in _signals()}
        if self._previous:
            reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)
            self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            threading.Thread(target=self._listen, args=(reader,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._previous:
            signal.set_wakeup_fd(self._wakeup)
            os.close(self._writer)

    def _listen(self, reader: int) -> None:
        heard = 0
        with open(reader, "rb", buffering=0) as pipe:
            while received := pipe.read(1):  # until __exit__ closes the other end
                if received[0] not in self._previous:
                    continue
                heard += 1
                if heard > 1 and _ends_process:
                    _end(received[0], None)
                if heard == 1:
                    _write("stopping: the state is saved first; once more ends at once")

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
            if not _ends_process:
                raise KeyboardInterrupt
            _end(number, frame)
        self.signal = number
