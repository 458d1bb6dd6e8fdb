import numpy as np
import pytest


@pytest.fixture
def layers(tensorflow):
    """Gives this layer and Keras' own with equal weights, and images' tokens: `layers(key_dim)`."""
    import keras

    from vit_train.models.self_attention import SelfAttention

    def make(key_dim, dropout=0.0):
        rng, shape = np.random.default_rng(0), (None, 5, 8)
        ours = SelfAttention(3, key_dim, dropout=dropout, seed=0)
        theirs = keras.layers.MultiHeadAttention(3, key_dim, dropout=dropout)
        ours.build(shape)
        theirs.build(shape, shape)
        assert [v.path.split("/", 1)[1] for v in ours.weights] == [v.path.split("/", 1)[1] for v in theirs.weights]
        for mine, other in zip(ours.weights, theirs.weights, strict=True):
            values = rng.normal(size=mine.shape).astype("float32") / 2
            mine.assign(values)
            other.assign(values)
        return ours, theirs, rng.normal(size=(4, 5, 8)).astype("float32")

    return make


def results(layer, call, x):
    """Output, and the gradients with respect to input and weights of a loss that weighs all of it."""
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
        loss = tf.reduce_sum(tf.sin(y) * tf.range(float(tf.size(y)))[:8])
    return [y, *tape.gradient(loss, [x, *(variable.value for variable in layer.trainable_variables)])]


@pytest.mark.parametrize("key_dim", [4, 8, 16])
def test_outputs_and_gradients_are_those_of_keras(layers, key_dim):
    ours, theirs, x = layers(key_dim)
    found = results(ours, ours, x)
    expected = results(theirs, lambda x: theirs(x, x), x)
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-5)


def test_with_the_same_dropout_they_are_too(layers, monkeypatch):
    from vit_train.models.dropout import kept

    ours, theirs, x = layers(8, dropout=0.4)
    seed = np.array([5, 7], "uint32")
    monkeypatch.setattr(ours._dropout_layer, "next_seed", lambda: seed)
    kept_BHNN = kept(np.zeros((4, 5 * 3, 5), "float32"), 0.4, seed).numpy().reshape(4, 5, 3, 5).transpose(0, 2, 1, 3)
    theirs._dropout_layer = lambda weights, training: weights * kept_BHNN / np.float32(0.6)
    found = results(ours, lambda x: ours(x, training=True), x)
    expected = results(theirs, lambda x: theirs(x, x, training=True), x)
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-5)


def test_dropout_is_for_training_only_and_keeps_the_mean(layers):
    ours, theirs, x = layers(8, dropout=0.3)
    expected = theirs(x, x)
    np.testing.assert_allclose(ours(x), expected, rtol=1e-5, atol=1e-5)
    draws = np.asarray(ours(np.tile(x, (400, 1, 1)), training=True)).reshape(400, *x.shape)
    standard_errors = draws.std(axis=0) / 400**0.5
    assert standard_errors.min() > 0.01
    assert np.abs((draws.mean(axis=0) - expected) / standard_errors).max() < 4.5


def test_it_gives_the_weights_of_its_attention(layers):
    ours, theirs, x = layers(8)
    _, scores = ours(x, return_attention_scores=True)
    np.testing.assert_allclose(scores, theirs(x, x, return_attention_scores=True)[1], rtol=1e-5, atol=1e-6)
