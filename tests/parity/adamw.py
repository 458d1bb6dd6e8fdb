"""Writes tests/golden/adamw.npz with the AdamW of tensorflow-addons: adamw.py FILE. Run by `make parity`.

Per case: the weights before and after each of 200 steps over random dense gradients, for three shapes. The gradients
are stored, too, so that reader and writer need not agree on a generator.
"""

import sys

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

STEPS = 200
SHAPES = {"vector": (5,), "matrix": (3, 4), "kernel": (2, 2, 3)}
WARMUP, FINAL = 20, 0.1


def schedule(peak: float) -> tf.keras.optimizers.schedules.LearningRateSchedule:
    """Linear warmup from 0, then half a cosine down to a tenth, over all steps."""
    return tf.keras.optimizers.schedules.CosineDecay(
        0.0, STEPS - WARMUP, alpha=FINAL, warmup_target=peak, warmup_steps=WARMUP
    )


CASES = {
    "constant": lambda: tfa.optimizers.AdamW(learning_rate=1e-3, weight_decay=1e-4),
    "strong": lambda: tfa.optimizers.AdamW(learning_rate=3e-2, weight_decay=2e-2, beta_1=0.8, beta_2=0.99),
    # Its documentation asks to decay the weight decay by the schedule of the learning rate.
    "scheduled": lambda: tfa.optimizers.AdamW(learning_rate=schedule(1e-2), weight_decay=schedule(5e-3)),
}


def main() -> None:
    random = np.random.default_rng(0)
    arrays = {}
    gradients = {name: random.normal(size=(STEPS, *shape)).astype(np.float32) for name, shape in SHAPES.items()}
    starts = {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    for name in SHAPES:
        arrays[f"gradients/{name}"] = gradients[name]
    for case, make in CASES.items():
        optimizer = make()
        variables = {name: tf.Variable(start) for name, start in starts.items()}
        paths = {name: [start] for name, start in starts.items()}
        for step in range(STEPS):
            optimizer.apply_gradients([(tf.constant(gradients[name][step]), variables[name]) for name in SHAPES])
            for name, variable in variables.items():
                paths[name].append(variable.numpy())
        for name, path in paths.items():
            arrays[f"{case}/{name}"] = np.stack(path)
    np.savez_compressed(sys.argv[1], **arrays)
    print(f"{sys.argv[1]}: tensorflow {tf.__version__}, tensorflow-addons {tfa.__version__}, {len(arrays)} arrays")


if __name__ == "__main__":
    main()
