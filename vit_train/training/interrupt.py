"""SIGTERM and SIGINT in training: the first asks for a stop at the next step, a second ends the process at once."""

import os
import signal
from types import FrameType, TracebackType
from typing import Any

from vit_train.errors import Interrupted


class StopRequest:
    """While entered, remembers the first signal; `check` then ends the run where its state can be saved."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        self._previous = {number: signal.signal(number, self._receive) for number in (signal.SIGTERM, signal.SIGINT)}
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
            os._exit(128 + number)
        self.signal = number
