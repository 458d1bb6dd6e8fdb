"""Makes a process send itself a signal at a chosen point; Python imports this by itself when it is on the path.

FAULT is NAME:COUNT:WHEN:SIGNAL; the signal comes at the COUNT-th call of NAME, "before" or "after" it. The NAME
"system" counts every call that changes what is in FAULT_FOLDER, and WHEN may be "in": half of a write has happened.
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
    "report": "vit_train.report.writer.write",
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


kept: list[Any] = []  # which would restore what it has patched if nothing held it


def arm(name: str, count: int, when: str, number: int) -> None:
    if name == "system":
        from system_calls import Points, patched

        points = Points(os.environ["FAULT_FOLDER"], count, when, lambda: os.kill(os.getpid(), number))
        kept.append(patched(points))
        kept[0].__enter__()
        return
    place, _, attribute = PLACES[name].rpartition(".")
    owner = pkgutil.resolve_name(place)
    setattr(owner, attribute, faulty(getattr(owner, attribute), count, when, number))


if "FAULT" in os.environ:
    fault, at, when, which = os.environ["FAULT"].split(":")
    arm(fault, int(at), when, signal.Signals[which])
