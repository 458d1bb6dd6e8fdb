"""A training step of the tutorial's network, ours against that of keras-matmulless 0.1.2.

python -m benchmarks.matmul_free [BACKEND]

`make parity` makes the environment of the library. Each side has a process of its own, in which it trains 32 images of
72x72 per step, with the AdamW of Keras; the two take turns, so that what else runs on the machine is split. Says
the time per step of both and their ratio, as median and range over the rounds.
"""

import os
import statistics
import sys

from benchmarks.interleave import ROOT, interleave
from benchmarks.measures import ratios

SIDES = {"ours": sys.executable, "library": str(ROOT / ".venv-mml" / "bin" / "python")}
ROUNDS, STEPS = 10, 3


def ours():
    from vit_train.config.compose import load_config
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
    """Trains one side, STEPS steps a turn."""
    import keras
    import numpy as np

    from benchmarks import turns  # which is for workers: it takes stdout

    model = {"ours": ours, "library": library}[side]()
    assert model.count_params() == 10_300_817
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.AdamW(1e-3, weight_decay=1e-4), loss=loss)
    random = np.random.default_rng(0)
    images, labels = random.uniform(0, 255, (32, 72, 72, 3)).astype("float32"), random.integers(0, 10, 32)

    def train() -> None:
        for _ in range(STEPS):
            model.train_on_batch(images, labels)

    model.train_on_batch(images, labels)
    turns.first_step_done()
    train()
    turns.warm(32 * STEPS)
    turns.serve(train)


def main(backend: str) -> None:
    os.environ["KERAS_BACKEND"] = backend
    commands = {side: [python, "-m", "benchmarks.matmul_free", "--work", side] for side, python in SIDES.items()}
    mine, library = interleave(commands, ROUNDS)
    if failed := mine["failed"] or library["failed"]:
        sys.exit(f"{failed}; make parity makes the library's environment, .venv-mml")
    rows = [(each["contender"], [s / STEPS for s in each["seconds"]], " s per step") for each in (mine, library)]
    for name, values, unit in [*rows, ("ratio", ratios(library, mine), "")]:
        print(f"{backend}, {name}: {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f}){unit}")


if __name__ == "__main__":
    work(sys.argv[2]) if sys.argv[1:2] == ["--work"] else main(*sys.argv[1:] or ["tensorflow"])
