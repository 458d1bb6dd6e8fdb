"""A worker that starts a program: launch.py COMMAND ...

A turn lasts until the program says "first step", or else until it ends. The peak memory that is noted is that
of the program, beside which the worker is small.
"""

import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks import turns


def main() -> None:
    launch(sys.argv[1:])
    turns.first_step_done()
    turns.warm(1)
    while True:
        turns.wait()
        turns.done(launch(sys.argv[1:]))


def launch(command: Sequence[str]) -> float:
    """Seconds to the first step; the rest, if any, is waited for. Raises CalledProcessError."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as program:
        for line in program.stdout:
            if line == "first step\n":
                break
        else:
            program.wait()
        seconds = time.perf_counter() - began
        program.stdout.read()
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, command)
    return seconds


if __name__ == "__main__":
    main()
