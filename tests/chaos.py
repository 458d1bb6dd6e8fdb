"""Kills runs at random, over and over: chaos.py KILLS [SEED]. Exits with 1 if any run ends otherwise than left alone.

Each run is killed at a random moment of its process (start, training, validation, writing, reporting), or before, in or
after a random system call that changes its folder. It is resumed, killed again and so on until it is done, and then
compared bit for bit with one of the same backend that was never stopped. A run that cannot be resumed is an error.
"""

import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults.system_calls import WHEN
from killing import ARGUMENTS, complete, differences, finish, result_of, start

from vit_train.rundir.layout import RunDir

BACKENDS = ("tensorflow", "jax")
CALLS = 150  # about as many as such a run makes
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Chaos:
    """Runs under fire, and the tally of what happened to them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random, self.tally = folder, random.Random(seed), collections.Counter[str]()
        self.lock = threading.Lock()
        self.expected, self.seconds = {}, {}
        for backend in BACKENDS:
            began = time.monotonic()
            self.expected[backend] = result_of(complete(*self.arguments(backend), cwd=folder))
            self.seconds[backend] = time.monotonic() - began

    def arguments(self, backend: str) -> tuple[str, ...]:
        return (*ARGUMENTS, "figures=true", f"compute.backend={backend}")

    def count(self, *names: str) -> None:
        with self.lock:
            self.tally.update(names)

    def run_until(self, kills: int) -> None:
        """Kills runs, one after another, until there were so many kills by all threads together."""
        while self.tally["kills"] < kills:
            self.run(self.random.choice(BACKENDS))
            print(", ".join(f"{count} {name}" for name, count in self.tally.items()), flush=True)

    def run(self, backend: str) -> None:
        """Kills one run until it gets through, and compares it."""
        cwd = Path(tempfile.mkdtemp(dir=self.folder))
        longest = self.seconds[backend]
        while not (done := next((run for run in map(RunDir, cwd.glob("outputs/*/*")) if run.finished), None)):
            # Without config.yaml the process died before it began to train; a user would start again, too.
            config = next(cwd.glob("outputs/*/*/config.yaml"), None)
            self.count(*["resumes"] * (config is not None))
            arguments = [f"resume={config.parent}"] if config else self.arguments(backend)
            if self.random.random() < 0.5:
                self.kill(start(*arguments, cwd=cwd), self.random.choice(SIGNALS), self.random.uniform(0, longest))
            else:
                fault = f"system:{self.random.randint(1, CALLS)}:{self.random.choice(WHEN)}:SIGKILL"
                process = start(*arguments, cwd=cwd, FAULT=fault, FAULT_FOLDER=str(cwd))
                self.kill(process, signal.SIGKILL, None)
            longest *= 1.1  # so that a run gets through also where the machine has become slower
        self.count("runs")
        if wrong := differences(result_of(done.path), self.expected[backend]):
            self.count("mismatches")
            print(f"{backend}: {done.path} differs in {wrong}", flush=True)

    def kill(self, process: subprocess.Popen[str], number: signal.Signals, after: float | None) -> None:
        """Sends a signal after some seconds, if the process has not ended by then, or lets it kill itself.

        Any other end than by that or of the run is an error.
        """
        if after is not None:
            try:
                process.wait(after)
            except subprocess.TimeoutExpired:
                process.send_signal(number)
        code, _, stderr = finish(process)
        if code == 0:
            return
        if code not in (-number, 128 + number):
            raise RuntimeError(f"exit code {code} after {number.name}: {stderr}")
        self.count("kills", number.name if after is not None else "at system calls")


def main() -> int:
    wanted, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        chaos = Chaos(Path(folder), seed)
        for thread in [pool.submit(chaos.run_until, wanted) for _ in range(os.cpu_count() or 1)]:
            thread.result()
    print(f"{chaos.tally['kills']} kills, {chaos.tally['resumes']} resumes, {chaos.tally['mismatches']} mismatches")
    return 1 if chaos.tally["mismatches"] else 0


if __name__ == "__main__":
    sys.exit(main())
