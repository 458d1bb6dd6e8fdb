"""What a checkpoint costs: saves the state of a recipe's model several times. saving.py [KEY=VALUE ...]"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from vit_train.config.compose import load_config
from vit_train.machine import backend
from vit_train.rundir.layout import RunDir

TIMES = 9


def main() -> None:
    config = load_config(sys.argv[1:])
    backend.configure(config.compute, config.seed)
    from vit_train.data.images import Examples
    from vit_train.training import state
    from vit_train.training.distribution import Devices
    from vit_train.training.prepare import new_model
    from vit_train.training.trainer import Trainer

    examples = Examples(np.zeros((256, 32, 32, 3), np.uint8), np.zeros(256, np.int32))
    devices = Devices(config)
    _, model, _ = new_model(config, examples, [str(number) for number in range(100)], devices)
    with tempfile.TemporaryDirectory(dir=config.outputs) as folder:
        run = RunDir.create(folder, config.dataset.name, config.model.name)
        trainer = Trainer(model, examples, examples, config, run, devices)
        trainer.epoch_began, trainer.best = time.monotonic(), state.model_arrays(model)
        seconds = []
        for trainer.progress.step in range(TIMES):
            began = time.perf_counter()
            trainer.save()
            seconds.append(time.perf_counter() - began)
        size = sum(file.stat().st_size for file in max(Path(run.checkpoints).iterdir()).iterdir())
    median, every = statistics.median(seconds), config.train.checkpoint.every
    print(f"{size / 2**20:.0f} MiB in {median:.2f} s ({min(seconds):.2f} to {max(seconds):.2f} s, {TIMES} times)")
    if every.unit == "minute":
        print(f"at one checkpoint in {every}: {median / (60 * every.value):.2%} of the run's time")


if __name__ == "__main__":
    main()
