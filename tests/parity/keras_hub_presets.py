"""Writes tests/golden/pretrained/keras_hub_vit, a tiny preset: keras_hub_presets.py FOLDER, by `make parity`.

As in pretrained.py: the folder as the library writes it, weights drawn at random, and golden.npz beside them.
"""

import sys
from pathlib import Path

import keras
import keras_hub
import numpy as np
import tensorflow as tf

SIZE, PATCH, WIDTH, DEPTH, HEADS = 32, 8, 24, 2, 3
STD = 0.5  # as their presets of google/vit have it: pixels from -1 to 1


def main(folder: Path) -> None:
    backbone = keras_hub.models.ViTBackbone(
        image_shape=(SIZE, SIZE, 3), patch_size=PATCH, num_layers=DEPTH, num_heads=HEADS, hidden_dim=WIDTH,
        mlp_dim=4 * WIDTH, layer_norm_epsilon=1e-5,
    )  # fmt: skip
    random = np.random.default_rng(0)
    for variable in backbone.weights:
        centre = 1.0 if variable.path.endswith("gamma") else 0.0
        variable.assign(centre + 0.2 * random.normal(size=variable.shape))
    converter = keras_hub.layers.ViTImageConverter(
        image_size=(SIZE, SIZE), scale=[1 / 255 / STD] * 3, offset=[-1.0] * 3
    )
    model = keras_hub.models.ViTImageClassifier(
        backbone=backbone, num_classes=3, preprocessor=keras_hub.models.ViTImageClassifierPreprocessor(converter)
    )
    model.save_to_preset(str(folder / "keras_hub_vit"))
    for name in (
        "task.json",
        "task.weights.h5",
        "image_converter.json",
    ):  # the head, and what stands elsewhere, too
        (folder / "keras_hub_vit" / name).unlink()

    random = np.random.default_rng(1)
    images = random.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    weights = random.normal(size=(2, WIDTH)).astype("float32")
    raw = tf.constant(images, "float32")
    with tf.GradientTape() as tape:
        tape.watch(raw)
        features = backbone(raw / 255 / STD - 1)[:, 0]
        loss = tf.reduce_sum(features * weights)
    np.savez_compressed(
        folder / "keras_hub_vit" / "golden.npz", images=images, features=keras.ops.convert_to_numpy(features),
        weights=weights, gradient=tape.gradient(loss, raw).numpy(),
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
