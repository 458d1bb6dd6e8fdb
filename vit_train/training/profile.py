"""Where the time of a training step goes: a trace for TensorBoard, and a table of its operations."""

import csv
import io
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import keras

from vit_train.console import say
from vit_train.files import replace_file

WARM_UP = 10  # steps before those that are traced: they compile, and fill what is made ahead
_SHOWN = 15
_NODE = re.compile(r"(?P<path>([^/\s:]+/)*)[^/\s:]+:(?P<kind>_?[A-Z]\w*)")  # of a TensorFlow graph
_FUSION = re.compile(r"[a-z][a-z0-9_-]*(_fusion|reduce|reduce-window|dot|convolution|transpose|copy|call)(\.\d+)*")


class Profile(keras.callbacks.Callback):
    """Traces `steps` steps of a `fit` into `folder` after WARM_UP others, and says what they cost."""

    def __init__(self, folder: Path, steps: int, batch_size: int) -> None:
        super().__init__()
        self.folder, self.steps, self.batch_size, self.began = folder, steps, batch_size, 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Says so where the steps are too few."""
        if self.params["steps"] < WARM_UP + self.steps:
            say(
                f"note: nothing is profiled, since {self.params['steps']} steps to the end of the epoch are fewer than "
                f"{WARM_UP} to warm up and compute.profile_steps={self.steps}"
            )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Begins after the step WARM_UP and ends `steps` later."""
        if self.params["steps"] < WARM_UP + self.steps or batch + 1 not in (WARM_UP, WARM_UP + self.steps):
            return
        float((logs or {})["loss"])  # waits for the device
        if batch + 1 == WARM_UP:
            _start(self.folder)
            self.began = time.perf_counter()
        else:
            seconds = (time.perf_counter() - self.began) / self.steps
            _stop()
            self._tell(seconds)

    def _tell(self, seconds: float) -> None:
        costs = operations(next(self.folder.glob("plugins/profile/*/*.xplane.pb")), self.steps)
        total = sum(ms for _, _, ms in costs)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["part", "operation", "calls_per_step", "ms_per_step"])
        writer.writerows([*name, f"{calls:g}", f"{ms:.4f}"] for name, calls, ms in costs)
        replace_file(self.folder / "operations.csv", text.getvalue())
        say(
            f"a traced step takes {seconds * 1000:.1f} ms, {self.batch_size / seconds:.0f} images/s; its operations, "
            f"some of them at once, {total:.1f} ms:"
        )
        for (part, kind), calls, ms in costs[:_SHOWN]:
            say(f"{ms:10.1f} ms {ms / total:6.1%} {calls:6g} x {part} {kind}")
        say(f"all of them are in {self.folder}/operations.csv, the trace for TensorBoard beside it")


def operations(trace: Path, steps: int) -> list[tuple[tuple[str, str], float, float]]:
    """What a step cost, dearest first: ((part, kind of operation), calls, milliseconds without what it called).

    On a processor, TensorFlow's nodes tell their part: forward, backward, optimizer. What XLA has compiled knows none.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(trace.read_bytes())
    devices = [plane for plane in space.planes if plane.name.startswith("/device:")]
    times: Counter[tuple[str, str]] = Counter()
    calls: Counter[tuple[str, str]] = Counter()
    for plane in devices or [plane for plane in space.planes if plane.name == "/host:CPU"]:
        for line in plane.lines:
            running: list[tuple[tuple[str, str] | None, int]] = []  # (what, its end), each within the one before
            for event in sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps)):
                while running and running[-1][1] <= event.offset_ps:
                    running.pop()
                name = _named(plane.event_metadata[event.metadata_id].name, bool(devices))
                if running and running[-1][0]:
                    times[running[-1][0]] -= event.duration_ps
                if name:
                    times[name] += event.duration_ps
                    calls[name] += 1
                running.append((name, event.offset_ps + event.duration_ps))
    return [(name, calls[name] / steps, picoseconds / 1e9 / steps) for name, picoseconds in times.most_common()]


def _named(event: str, on_device: bool) -> tuple[str, str] | None:
    """Part and kind of an operation, or None for what is none."""
    if found := _NODE.fullmatch(event):
        path = found["path"]
        part = "optimizer" if "/cond/" in path else "backward" if "gradient_tape/" in path else "forward"
        return part, found["kind"].removeprefix("_Mkl").removeprefix("Native")
    if on_device or _FUSION.fullmatch(event):
        return "compiled", re.sub(r"(\.\d+)+$", "", event)
    return None


def _start(folder: Path) -> None:
    if keras.config.backend() == "jax":
        import jax

        jax.profiler.start_trace(folder)
    else:
        import tensorflow as tf

        tf.profiler.experimental.start(str(folder))


def _stop() -> None:
    if keras.config.backend() == "jax":
        import jax

        jax.profiler.stop_trace()  # type: ignore[no-untyped-call]
    else:
        import tensorflow as tf

        tf.profiler.experimental.stop()
