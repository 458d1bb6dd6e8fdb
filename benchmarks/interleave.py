"""The other side: starts the workers of a comparison, each a process of its own, and lets them take turns."""

import dataclasses
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # or the first of several processes takes all memory of a GPU
}


@dataclass
class Measured:
    """What one contender did; `failed` says why there is nothing, or less than was wanted."""

    contender: str
    images: int = 0  # of a turn
    seconds: list[float] = field(default_factory=list)  # of each turn
    first_step: float | None = None  # seconds from the start of the process to the end of its first step
    peak_mib: float | None = None  # the most memory that the process held at once
    facts: dict[str, str] = field(default_factory=dict)
    failed: str | None = None


def interleave(commands: Mapping[str, Sequence[str]], rounds: int) -> list[dict[str, Any]]:
    """Lets every contender take a turn in each of `rounds`, A B C A B C ...; one that fails is out from then on."""
    with ExitStack() as stack:
        contenders = [_Contender(name, command, stack) for name, command in commands.items()]
        for act in (_Contender.start, *[_Contender.turn] * rounds, _Contender.end):
            for contender in contenders:
                contender.do(act)
    return [dataclasses.asdict(contender.measured) for contender in contenders]


class _Contender:
    """A worker's process."""

    def __init__(self, name: str, command: Sequence[str], stack: ExitStack) -> None:
        self.measured, self.command, self.stack = Measured(name), command, stack
        self.log = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115, the stack is one

    def do(self, act: Callable[["_Contender"], None]) -> None:
        """Notes the failure if it fails, and does no more then."""
        if self.measured.failed is None:
            try:
                act(self)
            except FileNotFoundError:
                self.measured.failed = "not installed"
            except (OSError, EOFError) as error:
                self.measured.failed = str(error)

    def start(self) -> None:
        """Returns when the worker is warm."""
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log, "bufsize": 0}
        began = time.perf_counter()
        process = subprocess.Popen(self.command, cwd=ROOT, env={**os.environ, **_ENVIRONMENT}, **pipes)
        self.process = self.stack.enter_context(process)
        self._reply()
        self.measured.first_step = time.perf_counter() - began
        self.measured.facts = json.loads(self._reply())
        self.measured.images = int(self.measured.facts.pop("images"))

    def turn(self) -> None:
        with suppress(BrokenPipeError):  # its log says more
            self.process.stdin.write(b"go\n")
        self.measured.seconds.append(float(self._reply()))

    def end(self) -> None:
        """Lets the worker go, and looks what memory it and what it started had."""
        self.process.stdin.close()
        _, _, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = 0  # wait4 has taken it away from Popen
        self.measured.peak_mib = usage.ru_maxrss / 1024

    def _reply(self) -> bytes:
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.log.seek(0)
            raise EOFError((self.log.read().decode().strip() or "it ended without a word").splitlines()[-1])
        return line
