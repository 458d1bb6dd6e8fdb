"""Writes tests/golden/matmul_free.npz with keras-matmulless 0.1.2: matmul_free.py FILE. Run by `make parity`.

Per case: the input, the weights in the order of the library, the output, the gradient of sum(output * cotangent) by the
input and by each weight.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import keras_mml
import numpy as np
import tensorflow as tf
from keras_mml.layers import AttentionMML, DenseMML, PatchEmbedding, Patches, RMSNorm, TransformerBlockMML

TOKENS, WIDTH, HIDDEN = 16, 8, 12

CASES = {
    "norm": ((TOKENS, WIDTH), lambda: [RMSNorm()]),
    "dense": ((WIDTH,), lambda: [DenseMML(6)]),
    "dense_of_tokens": ((TOKENS, WIDTH), lambda: [DenseMML(6)]),
    "recurrence": ((TOKENS, WIDTH), lambda: [AttentionMML(2, WIDTH)]),
    "block": ((TOKENS, WIDTH), lambda: [TransformerBlockMML(WIDTH, HIDDEN, 4, rate=0.1)]),
    "embedding": ((TOKENS, 27), lambda: [PatchEmbedding(TOKENS, WIDTH, with_positions=True)]),
    "network": (
        (12, 12, 3),
        lambda: [
            Patches(3),
            PatchEmbedding(TOKENS, WIDTH, with_positions=True),
            *(TransformerBlockMML(WIDTH, HIDDEN, 2, rate=0.1) for _ in range(2)),
            keras.layers.LayerNormalization(epsilon=1e-6),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            DenseMML(20),
            DenseMML(10),
            keras.layers.Dense(5),
        ],
    ),
}


def main() -> None:
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    arrays = {}
    for case, (shape, make) in CASES.items():
        model = keras.Sequential([keras.Input(shape), *make()])
        for weight in model.weights:  # so that gains and biases are not all alike
            weight.assign(weight + 0.1 * random.normal(size=weight.shape))
        inputs = random.normal(size=(3, *shape)).astype(np.float32)
        with tf.GradientTape() as tape:
            x = tf.constant(inputs)
            tape.watch(x)
            output = model(x, training=False)
            cotangent = random.normal(size=output.shape).astype(np.float32)
            value = tf.reduce_sum(output * cotangent)
        of_input, *of_weights = tape.gradient(value, [x, *(weight.value for weight in model.weights)])
        arrays |= {f"{case}/input": inputs, f"{case}/output": output, f"{case}/cotangent": cotangent}
        arrays[f"{case}/gradient"] = of_input
        for index, (weight, gradient) in enumerate(zip(model.weights, of_weights, strict=True)):
            arrays[f"{case}/weight/{index:02}"] = weight
            arrays[f"{case}/weight_gradient/{index:02}"] = tf.convert_to_tensor(gradient)
    np.savez_compressed(sys.argv[1], **{name: np.asarray(array) for name, array in arrays.items()})
    print(f"{sys.argv[1]}: tensorflow {tf.__version__}, keras-matmulless {keras_mml.__version__}, {len(arrays)} arrays")


if __name__ == "__main__":
    main()
