"""A worker for what follows training: ending.py KIND [OPTIONS of turns.py].

Kinds: `ours` finds the test figures of random images as a run does, `keras` does it by `evaluate` of the model of
plain_keras.py, and `report` draws the figures and writes the pages of a short run on the digits.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import turns
from vit_train import backend
from vit_train.compose import load_config


def main() -> None:
    options, (kind,) = turns.settings()
    count = 1 if kind == "report" else options.images
    with tempfile.TemporaryDirectory() as outputs:
        work = report(outputs) if kind == "report" else {"ours": ours, "keras": keras}[kind](options)
        work()
        turns.first_step_done()
        turns.warm(count)
        while True:
            turns.wait()
            turns.done(work())


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """`work` that returns its seconds."""

    def run() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return run


def ours(options: Any) -> Callable[[], float]:
    """Evaluation of the network that would be saved."""
    config = load_config([f"train.batch_size={options.batch_size}", f"model.depth={options.depth}"])
    backend.configure(config.compute, config.seed)
    from vit_train.data.images import Examples
    from vit_train.data.pipeline import raw_batches
    from vit_train.evaluate import predict
    from vit_train.metrics import evaluate
    from vit_train.models import build, preprocessing

    names = [str(number) for number in range(100)]
    deployed = preprocessing.with_preprocessing(build.build_model(config.model, 100), (32, 32), names)
    examples = Examples(*random_images(options.images))
    return timed(lambda: evaluate(predict(deployed, raw_batches(examples, options.batch_size).as_numpy_iterator())))


def keras(options: Any) -> Callable[[], float]:
    """Keras' own evaluation."""
    from benchmarks import plain_keras

    images, labels = random_images(options.images)
    model, watch = plain_keras.compiled_model(images), plain_keras.Watch()

    def run() -> float:
        model.evaluate(images, labels, options.batch_size, verbose=0, callbacks=[watch])
        return watch.seconds

    return run


def random_images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [count, 32, 32, 3], and labels below 100."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, 32, 32, 3), np.uint8), random.integers(0, 100, count, np.int32)


def report(outputs: str) -> Callable[[], float]:
    """What `vit-runs figures` does with a run of 1,437 training and 360 test images."""
    from vit_train.runs.redraw import redraw
    from vit_train.train import train

    short = ["train.epochs=1", "schedule.warmup=0", "figures=false"]
    run = train(load_config(["experiment=quickstart", *short, f"outputs={outputs}"]))
    return timed(lambda: redraw(Path(run.run_dir)))


if __name__ == "__main__":
    main()
