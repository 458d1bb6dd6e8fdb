"""The keras.io example, written down again in plain Keras from its description, against ours with equal weights."""

import numpy as np
import pytest

from vit_train.config.compose import load_config

pytestmark = pytest.mark.usefixtures("tensorflow")

IMAGE, PATCH, HEADS, KEY_DIM, BLOCKS, CLASSES = 72, 6, 4, 64, 8, 100
EXPERIMENTS = {
    "keras_io_2021": (64, 21_759_019),
    "keras_io_keras3": (64, 21_759_019),
    "keras_io_2026": (256, 81_982_315),
}


def plain_keras(width, blocks):
    """The network of the example for images of 72x72 in [0, 255], token width `width`; no code of ours."""
    import keras
    from keras import layers, ops

    class Positions(layers.Layer):
        def build(self, shape):
            self.embedding = layers.Embedding(input_dim=shape[1], output_dim=shape[2])
            self.embedding.build((shape[1],))

        def call(self, tokens):
            return tokens + self.embedding(ops.arange(tokens.shape[1]))

    inputs = keras.Input((IMAGE, IMAGE, 3))
    x = layers.Normalization()(inputs)
    rows = IMAGE // PATCH
    x = ops.image.extract_patches(x, PATCH)
    x = layers.Reshape((rows * rows, PATCH * PATCH * 3))(x)
    x = Positions()(layers.Dense(width)(x))
    for _ in range(blocks):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.MultiHeadAttention(num_heads=HEADS, key_dim=KEY_DIM, dropout=0.1)(y, y)
        x = layers.Add()([y, x])
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        for units in (2 * width, width):
            y = layers.Dropout(0.1)(layers.Dense(units, activation=keras.activations.gelu)(y))
        x = layers.Add()([y, x])
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    for units in (2048, 1024):
        x = layers.Dropout(0.5)(layers.Dense(units, activation=keras.activations.gelu)(x))
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def in_forward_order(ours):
    """Our embedding has its positions before its projection."""
    positions, kernel, bias, *others = ours.trainable_variables
    return [kernel, bias, positions, *others]


def gradients(model, variables, images, labels):
    import keras
    import tensorflow as tf

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        value = loss(labels, model(images, training=False))
    return [tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(value, variables)]


@pytest.mark.parametrize(
    ("experiment", "blocks"),
    [("keras_io_2021", 2), *(pytest.param(name, BLOCKS, marks=pytest.mark.slow) for name in EXPERIMENTS)],
)
def test_with_equal_weights_it_is_the_example(experiment, blocks):
    """Logits to 1e-5 and gradients to 1e-4 of their sizes, and the same number of parameters."""
    from vit_train.models.build import build_model

    width, parameters = EXPERIMENTS[experiment]
    ours = build_model(load_config([f"experiment={experiment}", f"model.depth={blocks}"]).model, CLASSES)
    theirs = plain_keras(width, blocks)
    assert ours.count_params() == theirs.count_params()
    assert blocks != BLOCKS or ours.count_params() == parameters
    for mine, other in zip(in_forward_order(ours), theirs.trainable_variables, strict=True):
        mine.assign(other)
    random = np.random.default_rng(0)
    for model in (ours, theirs):
        layer = next(layer for layer in model.layers if type(layer).__name__ == "Normalization")
        layer.adapt_mean.assign([120.0, 125.0, 110.0])
        layer.adapt_variance.assign([4600.0, 4300.0, 5000.0])
        layer.finalize_state()
    images = random.uniform(0, 255, (4, IMAGE, IMAGE, 3)).astype(np.float32)
    logits = [np.asarray(model(images, training=False)) for model in (ours, theirs)]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-5 * np.abs(logits[1]).max())
    labels = random.integers(0, CLASSES, 4)
    expected = gradients(theirs, theirs.trainable_variables, images, labels)
    for a, b in zip(gradients(ours, in_forward_order(ours), images, labels), expected, strict=True):
        # The gradient of the keys' bias is 0, but for rounding: softmax does not see it.
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max() + 1e-8)


# (decay, weight decay in the units of that decay, attention initialiser)
RULES = {
    "keras_io_2021": ("independent", 1e-4, "glorot_2021"),
    "keras_io_keras3": ("scaled", 1e-4, "glorot"),
    "keras_io_2026": ("scaled", 1e-4, "glorot"),
}


@pytest.mark.parametrize("experiment", RULES)
def test_each_has_the_rules_of_its_source(experiment):
    config = load_config([f"experiment={experiment}"])
    assert (config.optimizer.decay, config.optimizer.weight_decay, config.model.attention_initializer) == RULES[
        experiment
    ]
    assert (config.dataset.name, config.dataset.validation, config.train.batch_size) == ("cifar100", "last", 256)
    assert (config.optimizer.learning_rate, config.schedule.name, config.schedule.warmup.value) == (1e-3, "constant", 0)


def test_the_reference_is_the_default():
    assert load_config(["experiment=keras_io_2021"]) == load_config()
