"""A worker that trains as vit-train does, with its own Trainer: a turn is the training part of an epoch.

ours.py [OPTIONS of turns.py] [KEY=VALUE ...]; images are random. The seconds of a turn are those behind
images_per_second in history.csv; validation and what else is between epochs is not in them, as in the other workers.
"""

import tempfile
from typing import Any

import numpy as np

from benchmarks import turns
from vit_train.config.compose import load_config
from vit_train.machine import backend


def main() -> None:
    options, rest = turns.settings()
    with tempfile.TemporaryDirectory() as outputs:
        config = load_config(
            [
                f"compute.backend={options.backend}",
                f"compute.precision={options.precision}",
                f"train.batch_size={options.batch_size}",
                f"train.steps_per_epoch={options.steps}",
                f"model.depth={options.depth}",
                "train.checkpoint.every='1000 epochs'",
                f"outputs={outputs}",
                *rest,
            ]
        )
        backend.configure(config.compute, config.seed)
        train(config, options.images, options.image_size)


def train(config: Any, count: int, size: int) -> None:
    """Trains on `count` random images of `size` pixels until there are no more turns."""
    from vit_train.data.images import Examples
    from vit_train.rundir.layout import RunDir
    from vit_train.training.distribution import Devices
    from vit_train.training.prepare import new_model
    from vit_train.training.trainer import Trainer

    class TurnTaker(Trainer):
        """Trains as ever, but says when its first step is done and waits for its turn after each epoch."""

        def after_step(self, logs: Any) -> None:
            super().after_step(logs)
            if self.progress.step == 1:
                self.require_finite_steps()  # waits for the device
                turns.first_step_done()

    def after_epoch(rows: list[dict[str, float]]) -> None:
        images = min(count, rows[0]["step"] * config.train.batch_size)
        if len(rows) == 1:
            turns.warm(images, device=backend.device_name(), parameters=f"{network.count_params():,}")
        else:
            turns.done(images / rows[-1]["images_per_second"])
        turns.wait()

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, size, size, 3), np.uint8)
    training = Examples(images, random.integers(0, 100, count, np.int32))
    devices = Devices(config)
    network, model, _ = new_model(config, training, [str(number) for number in range(100)], devices)
    validation = training.take(np.arange(min(count, config.train.batch_size)))
    run = RunDir.create(config.outputs, config.dataset.name, config.model.name)
    TurnTaker(model, training, validation, config, run, devices).fit(after_epoch)


if __name__ == "__main__":
    main()
