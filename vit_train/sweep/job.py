"""The process of one job: `python -m vit_train.sweep.job CORES ARGUMENT ...` is `vit-train ARGUMENT ...` on CORES.

Its stdin is a pipe that only the sweep can write to. When that ends, however it ends, the pipe does too, and the job
stops as on SIGTERM: it saves its state, and nothing continues unseen.
"""

import os
import signal
import sys
import threading

from vit_train import single
from vit_train.command_line import prepare_process


def stop_with_the_sweep() -> None:
    """Waits for the end of stdin, and asks this process to stop."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=stop_with_the_sweep, daemon=True).start()
    cores, *arguments = sys.argv[1:]
    if cores:
        os.sched_setaffinity(0, map(int, cores.split(",")))
    prepare_process()
    sys.exit(single.main(arguments))
