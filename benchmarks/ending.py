"""A worker for what is done without training: ending.py KIND [OPTIONS of turns.py] [KEY=VALUE ...].

Kinds: `ours` finds the test figures of random images as a run does, `keras` does it by `evaluate` of the model of
plain_keras.py, `features` are those of train.cache_features, and `report` draws the figures and writes the pages of a
short run on the digits.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from benchmarks import turns
from vit_train.config.compose import load_config
from vit_train.machine import backend


def main() -> None:
    options, (kind, *keys) = turns.settings()
    with tempfile.TemporaryDirectory() as outputs:
        if kind == "keras":
            keras(options)
        works = {"ours": ours, "features": lambda options: features(options, keys), "report": lambda _: report(outputs)}
        work = works[kind](options)
        work()
        turns.first_step_done()
        turns.warm(1 if kind == "report" else options.images)
        turns.serve(work)


def ours(options: Any) -> Callable[[], object]:
    """Evaluation of the network that would be saved."""
    config = load_config([f"train.batch_size={options.batch_size}", f"model.depth={options.depth}"])
    backend.configure(config.compute, config.seed)
    from vit_train.data.images import Examples
    from vit_train.data.pipeline import raw_batches
    from vit_train.models import build, preprocessing
    from vit_train.report.scores import evaluate
    from vit_train.training.evaluate import predict

    names = [str(number) for number in range(100)]
    deployed = preprocessing.with_preprocessing(build.build_model(config.model, 100), (32, 32), names)
    examples = Examples(*random_images(options.images))
    return lambda: evaluate(predict(deployed, raw_batches(examples, options.batch_size).as_numpy_iterator()))


def features(options: Any, keys: list[str]) -> Callable[[], object]:
    """What a frozen network makes of images, batch by batch."""
    config = load_config([f"compute.precision={options.precision}", *keys])
    backend.configure(config.compute, config.seed)
    import keras as library

    from vit_train.models import build

    network = build.build_model(config.model, 100)
    frozen = library.Model(network.input, network.get_layer("logits").input)
    images = random_images(options.images, options.image_size)[0].astype("float32")
    size = options.batch_size

    def work() -> None:
        for first in range(0, len(images), size):
            np.asarray(frozen.predict_on_batch(images[first : first + size]))

    return work


def keras(options: Any) -> NoReturn:
    """Keras' own evaluation, to the end of all turns."""
    from benchmarks import plain_keras

    images, labels = random_images(options.images)
    model = plain_keras.compiled_model(images)

    def evaluate(done: Callable[[float], None]) -> None:
        model.evaluate(images, labels, options.batch_size, verbose=0, callbacks=[plain_keras.Watch(done)])

    evaluate(lambda seconds: turns.first_step_done())
    turns.warm(len(images))
    while True:
        turns.wait()
        evaluate(turns.done)


def random_images(count: int, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [count, size, size, 3], and labels below 100."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, size, size, 3), np.uint8), random.integers(0, 100, count, np.int32)


def report(outputs: str) -> Callable[[], object]:
    """What `vit-runs figures` does with a run of 1,437 training and 360 test images."""
    from vit_train.run import train
    from vit_train.runs.redraw import redraw

    short = ["train.epochs=1", "schedule.warmup=0", "figures=false"]
    run = train(load_config(["experiment=quickstart", *short, f"outputs={outputs}"]))
    return lambda: redraw(Path(run.run_dir))


if __name__ == "__main__":
    main()
