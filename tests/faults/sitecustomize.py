"""Makes a process send itself a signal at a chosen point; Python imports this by itself when it is on the path.

FAULT is NAME:COUNT:WHEN:SIGNAL; the signal comes at the COUNT-th call of NAME, "before" or "after" it.
"""

import os
import pkgutil
import signal
from collections.abc import Callable
from typing import Any

PLACES = {
    "fsync": "os.fsync",
    "rename": "pathlib:Path.rename",
    "replace": "pathlib:Path.replace",
    "rmtree": "shutil.rmtree",
    "check": "vit_train.training.interrupt:StopRequest.check",
    "step": "vit_train.progress:TrainingDisplay.step",
    "figure": "matplotlib.figure:Figure.savefig",
}


def faulty(function: Callable[..., Any], count: int, when: str, number: int) -> Callable[..., Any]:
    calls = iter(range(1, 1_000_000))

    def call(*arguments: Any, **options: Any) -> Any:
        last = next(calls) == count
        if last and when == "before":
            os.kill(os.getpid(), number)
        result = function(*arguments, **options)
        if last:
            os.kill(os.getpid(), number)
        return result

    return call


if "FAULT" in os.environ:
    name, count, when, number = os.environ["FAULT"].split(":")
    place, _, attribute = PLACES[name].rpartition(".")
    owner = pkgutil.resolve_name(place)
    setattr(owner, attribute, faulty(getattr(owner, attribute), int(count), when, signal.Signals[number]))
