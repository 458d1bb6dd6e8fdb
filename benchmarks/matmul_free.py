"""A training step of the tutorial's network, ours against that of keras-matmulless 0.1.2: matmul_free.py [BACKEND].

`make parity` makes the environment of the library. Each side has a process of its own, in which it trains 32 images of
72x72 per step, with the AdamW of Keras; the two take turns, so that what else runs on the machine is shared out. Says
the time per step of both and their ratio, as median and range over the rounds.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIDES = {"ours": sys.executable, "library": str(ROOT / ".venv-mml" / "bin" / "python")}
ROUNDS, STEPS = 10, 3


def ours():
    from vit_train.compose import load_config
    from vit_train.models.build import build_model

    return build_model(load_config(["model=matmul_free"]).model, 10)


def library():
    import keras
    from keras import layers
    from keras_mml.layers import DenseMML, PatchEmbedding, Patches, TransformerBlockMML

    return keras.Sequential(
        [
            keras.Input((72, 72, 3)),
            layers.Normalization(),
            Patches(6),
            PatchEmbedding(144, 64, with_positions=True),
            *(TransformerBlockMML(64, 128, 4, rate=0.1) for _ in range(8)),
            layers.LayerNormalization(epsilon=1e-6),
            layers.Flatten(),
            layers.Dropout(0.5),
            DenseMML(1024),
            DenseMML(256),
            layers.Dense(10),
        ]
    )


def work(side: str) -> None:
    """Builds and warms up one side, then takes STEPS steps for each line read and writes the seconds of one."""
    import keras
    import numpy as np

    model = {"ours": ours, "library": library}[side]()
    assert model.count_params() == 10_300_817
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.AdamW(1e-3, weight_decay=1e-4), loss=loss)
    random = np.random.default_rng(0)
    images, labels = random.uniform(0, 255, (32, 72, 72, 3)).astype("float32"), random.integers(0, 10, 32)
    for _ in range(3):
        model.train_on_batch(images, labels)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        for _ in range(STEPS):
            model.train_on_batch(images, labels)
        print((time.perf_counter() - start) / STEPS, flush=True)


def main(backend: str) -> None:
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    workers = {
        side: subprocess.Popen([python, __file__, "--work", side], env=environment, **pipes)
        for side, python in SIDES.items()
    }
    for worker in workers.values():
        if not worker.stdout.readline().startswith("ready"):
            sys.exit("a side did not start; make parity makes the library's environment, .venv-mml")
    seconds = {side: [] for side in workers}
    for _ in range(ROUNDS):
        for side, worker in workers.items():
            print("go", file=worker.stdin, flush=True)
            seconds[side].append(float(worker.stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    ratios = [library / ours for ours, library in zip(*seconds.values(), strict=True)]
    for name, values, unit in [
        *((side, times, " s per step") for side, times in seconds.items()),
        ("ratio", ratios, ""),
    ]:
        print(f"{backend}, {name}: {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f}){unit}")


if __name__ == "__main__":
    work(sys.argv[2]) if sys.argv[1:2] == ["--work"] else main(*sys.argv[1:] or ["tensorflow"])
