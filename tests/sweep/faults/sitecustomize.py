"""Makes chosen jobs of a sweep go wrong; Python imports this by itself when it is on the path.

FAULTS is a list such as "seed=2:kill seed=3:hang": the process with that argument does that in the midst of its work.
"""

import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from vit_train.machine import backend
from vit_train.progress import TrainingDisplay


def leave(*arguments: Any) -> None:
    os._exit(7)


def kill(*arguments: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(*arguments: Any) -> None:
    print("hangs", flush=True)
    time.sleep(600)


def hang_on(*arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hang()


def leak(*arguments: Any) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, resource.RLIM_INFINITY))
    kept = []
    while True:
        kept.append(bytearray(2**26))


# All but the leak before the libraries are loaded, which costs seconds.
PLACES: dict[Any, tuple[Any, str]] = {leak: (TrainingDisplay, "end_epoch")}

for fault in os.environ.get("FAULTS", "").split():
    argument, _, name = fault.rpartition(":")
    if argument in sys.orig_argv:
        setattr(*PLACES.get(globals()[name], (backend, "configure")), globals()[name])
