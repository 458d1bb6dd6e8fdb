"""The Keras-MML tutorial with keras-matmulless 0.1.2 itself, as a control: .venv-mml/bin/python tutorial.py SEED ...

The first 500 training and 100 test rows of CIFAR-10 and 5 epochs, as there; but the best weights are kept in memory,
since the library's files do not hold them. Says test loss, accuracy and top-5 for each seed.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
from keras import layers
from keras_mml.layers import DenseMML, PatchEmbedding, Patches, TransformerBlockMML


def build(images):
    augmentation = keras.Sequential(
        [
            layers.Normalization(),
            layers.Resizing(72, 72),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.02),
            layers.RandomZoom(0.2, 0.2),
        ]
    )
    augmentation.layers[0].adapt(images)
    blocks = [TransformerBlockMML(64, 128, 4, rate=0.1) for _ in range(8)]
    body = [Patches(6), PatchEmbedding(144, 64, with_positions=True), *blocks, layers.LayerNormalization(epsilon=1e-6)]
    head = [layers.Flatten(), layers.Dropout(0.5), DenseMML(1024), DenseMML(256), layers.Dense(10)]
    return keras.Sequential([keras.Input((32, 32, 3)), augmentation, *body, *head])


class Best(keras.callbacks.Callback):
    """Keeps the weights of the best val_accuracy."""

    accuracy = -1.0

    def on_epoch_end(self, epoch, logs):
        if logs["val_accuracy"] > self.accuracy:
            self.accuracy, self.weights = logs["val_accuracy"], self.model.get_weights()


def main() -> None:
    (images, labels), (test_images, test_labels) = keras.datasets.cifar10.load_data()
    for seed in map(int, sys.argv[1:]):
        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        model, best = build(images[:500]), Best()
        model.compile(
            optimizer=keras.optimizers.AdamW(1e-3, weight_decay=1e-4),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(5)],
        )
        model.fit(images[:500], labels[:500], 32, 5, validation_split=0.1, callbacks=[best], verbose=0)
        model.set_weights(best.weights)
        print(seed, model.evaluate(test_images[:100], test_labels[:100], verbose=0), flush=True)


if __name__ == "__main__":
    main()
