"""Loss and metrics of batches, against numpy, SciPy and scikit-learn."""

import warnings

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.class_weight import compute_class_weight

from vit_train.config.training import LossConfig
from vit_train.errors import ConfigError

pytestmark = pytest.mark.usefixtures("tensorflow")

CLASSES = 4


def batch(seed=0, size=12):
    """(labels, mixed targets, logits); a few logits tie."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, size).astype(np.int32)
    part = random.uniform(0.5, 1, (size, 1)).astype(np.float32)
    other = np.eye(CLASSES, dtype=np.float32)[random.integers(0, CLASSES, size)]
    mixed = part * np.eye(CLASSES, dtype=np.float32)[labels] + (1 - part) * other
    logits = random.normal(size=(size, CLASSES)).astype(np.float32).round(1)
    return labels, mixed, logits


def losses(targets, logits, smoothing=0.0, weights=(1.0,) * CLASSES):
    """By hand, [B], in float64."""
    q = np.eye(CLASSES)[targets] if targets.ndim == 1 else targets.astype(float)
    q = (1 - smoothing) * q + smoothing / CLASSES
    return -(np.array(weights) * q * log_softmax(logits.astype(float), axis=1)).sum(axis=1)


def gradient(loss, targets, logits):
    import tensorflow as tf

    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(targets, logits)
    return float(value), tape.gradient(value, logits).numpy()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, (2.0, 0.5, 1.0, 3.0)])
@pytest.mark.parametrize("kind", ["labels", "mixed"])
def test_the_loss_and_its_gradient(kind, weights, smoothing):
    from vit_train.training.objective import CrossEntropy

    labels, mixed, logits = batch()
    targets, w = labels if kind == "labels" else mixed, np.ones(CLASSES) if weights is None else np.array(weights)
    value, slope = gradient(CrossEntropy(smoothing, None if weights is None else w.astype(np.float32)), targets, logits)
    assert value == pytest.approx(losses(targets, logits, smoothing, w).mean(), rel=1e-6)
    # d/dz_j of -sum_k v_k log p_k is p_j sum_k v_k - v_j
    v = w * ((1 - smoothing) * (np.eye(CLASSES)[labels] if kind == "labels" else mixed) + smoothing / CLASSES)
    p = np.exp(log_softmax(logits.astype(float), axis=1))
    np.testing.assert_allclose(slope, (p * v.sum(axis=1, keepdims=True) - v) / len(labels), atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_adjusted_logits_are_even_where_the_classes_are_not(smoothing):
    """The loss is that of logits plus tau log(n / N), by hand; at its minimum the model's own logits are even."""
    from vit_train.training.objective import CrossEntropy, logit_shift

    labels, _, logits = batch()
    counts = np.array([4, 1, 3, 2])
    config = LossConfig(label_smoothing=smoothing, class_weights=None, logit_adjustment=0.5)
    shift = logit_shift(config, np.repeat(np.arange(4), counts).astype(np.int32), CLASSES)
    np.testing.assert_allclose(shift, 0.5 * np.log(counts / 10), rtol=1e-6)
    expected = losses(labels, logits + 0.5 * np.log(counts / 10), smoothing, np.ones(CLASSES)).mean()
    loss = CrossEntropy.from_config(CrossEntropy(smoothing, None, shift).get_config())
    assert gradient(loss, labels, logits)[0] == pytest.approx(expected, rel=1e-6)
    whole = CrossEntropy(0.0, None, 2 * shift)  # on labels as uneven as that, even logits cannot be improved
    _, slope = gradient(whole, np.repeat(np.arange(4), counts), np.zeros((10, CLASSES), np.float32))
    np.testing.assert_allclose(slope.sum(axis=0), 0, atol=1e-6)
    assert logit_shift(LossConfig(label_smoothing=0.0, class_weights=None, logit_adjustment=0.0), labels, 4) is None


def test_two_remedies_at_once_are_refused():
    with pytest.raises(ConfigError, match=r"^loss.logit_adjustment=1: does not go with loss.class_weights=balanced"):
        LossConfig(label_smoothing=0.0, class_weights="balanced", logit_adjustment=1.0)


def test_of_plain_labels_it_is_keras_own_to_the_bit():
    import keras

    from vit_train.training.objective import CrossEntropy

    labels, _, logits = batch(1, 64)
    ours = gradient(CrossEntropy(), labels, logits)
    theirs = gradient(keras.losses.SparseCategoricalCrossentropy(from_logits=True), labels, logits)
    assert ours[0] == theirs[0]
    np.testing.assert_array_equal(ours[1], theirs[1])


def test_weights_of_examples_scale_the_loss_of_mixed_targets():
    from vit_train.training.objective import CrossEntropy

    _, mixed, logits = batch()
    weights = np.linspace(0, 2, len(logits), dtype=np.float32)
    value = float(CrossEntropy(0.1)(mixed, logits, sample_weight=weights))
    assert value == pytest.approx((weights * losses(mixed, logits, 0.1)).mean(), rel=1e-6)


def weights_of(setting, labels, names=("cat", "dog", "a:b", "owl")):
    from vit_train.training.objective import class_weights

    return class_weights(LossConfig(label_smoothing=0.0, class_weights=setting, logit_adjustment=0.0), labels, names)


def test_balanced_weights_are_scikit_learns():
    labels = np.repeat(np.arange(4), (1, 2, 30, 7)).astype(np.int32)
    found = weights_of("balanced", labels)
    np.testing.assert_allclose(found, compute_class_weight("balanced", classes=np.arange(4), y=labels), rtol=1e-6)
    assert found[labels].mean() == pytest.approx(1)
    without = labels[labels != 1]
    expected = compute_class_weight("balanced", classes=np.array([0, 2, 3]), y=without)
    np.testing.assert_allclose(weights_of("balanced", without), [expected[0], 1, *expected[1:]], rtol=1e-6)


def test_weights_by_name():
    assert weights_of(None, np.zeros(3, np.int32)) is None
    assert weights_of(("dog:2", "a:b:0.5"), np.zeros(3, np.int32)).tolist() == [1, 2, 0.5, 1]
    with pytest.raises(ConfigError) as error:
        weights_of(("dogs:2",), np.zeros(3, np.int32))
    assert str(error.value) == (
        "loss.class_weights=[dogs:2]: there is no class dogs; did you mean dog; the classes are cat, dog, a:b, owl"
    )


@pytest.mark.parametrize("pair", ["cat", "cat:", ":2", "cat:0", "cat:-1", "cat:inf", "cat:nan", "cat:x"])
def test_what_is_no_weight_is_refused(pair):
    with pytest.raises(ConfigError, match=r"must be NAME:WEIGHT, WEIGHT above 0, as in cat:2"):
        LossConfig(label_smoothing=0.0, class_weights=(pair,), logit_adjustment=0.0)


def test_a_class_has_one_weight():
    with pytest.raises(ConfigError, match=r"has cat more than once"):
        LossConfig(label_smoothing=0.0, class_weights=("cat:1", "dog:1", "cat:2"), logit_adjustment=0.0)


def after(metric, *updates):
    """Its value after `update_state` with each of `updates`."""
    for update in updates:
        metric.update_state(*update)
    return float(metric.result())


def test_the_mean_loss_is_over_finite_examples():
    from vit_train.training.objective import FiniteCrossEntropy

    metric = FiniteCrossEntropy()
    assert np.isnan(metric.result())
    metric.update_state(np.array([0, 1]), np.float32([[0, 0], [0, np.nan]]))
    metric.update_state(np.array([1]), np.float32([[np.log(3), 0]]))
    assert float(metric.result()) == pytest.approx((np.log(2) + np.log(4)) / 2)


def test_examples_of_weight_0_are_not_counted():
    from vit_train.training.objective import BalancedAccuracy, FiniteCrossEntropy

    update = np.array([0, 1]), np.float32([[0, 0], [0, 9]]), np.float32([1.5, 0])
    assert after(FiniteCrossEntropy(), update) == pytest.approx(np.log(2))
    assert after(BalancedAccuracy(2), (np.array([0, 1]), np.float32([[9, 0], [9, 0]]), np.float32([1.5, 0]))) == 1


def test_mixed_targets_are_measured_by_their_larger_part():
    """The loss is that of the mixture; what is right is decided by the class with the most of it."""
    from vit_train.training.objective import Accuracy, BalancedAccuracy, FiniteCrossEntropy, TopAccuracy

    _, mixed, logits = batch(2)
    larger, order = mixed.argmax(axis=1), np.argsort(-logits, axis=1, kind="stable")
    assert after(FiniteCrossEntropy(), (mixed, logits)) == pytest.approx(losses(mixed, logits).mean(), rel=1e-6)
    assert after(Accuracy(), (mixed, logits)) == pytest.approx((order[:, 0] == larger).mean())
    in_two = (logits > np.take_along_axis(logits, larger[:, None], axis=1)).sum(axis=1) < 2
    assert after(TopAccuracy(2), (mixed, logits)) == pytest.approx(in_two.mean())
    assert after(BalancedAccuracy(CLASSES), (mixed, logits)) == after(BalancedAccuracy(CLASSES), (larger, logits))


@pytest.mark.parametrize("seed", range(3))
def test_balanced_accuracy_is_scikit_learns(seed):
    """With a class that has no example; over batches."""
    from vit_train.training.objective import BalancedAccuracy

    labels, _, logits = batch(seed, 40)
    labels[labels == 2] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of guesses of the class without examples
        expected = balanced_accuracy_score(labels, logits.argmax(axis=1))
    parts = np.split(np.arange(40), [7, 25])
    found = after(BalancedAccuracy(CLASSES), *((labels[part], logits[part]) for part in parts))
    assert found == pytest.approx(expected, rel=1e-6)
    assert np.isnan(after(BalancedAccuracy(CLASSES)))


@pytest.fixture
def model(tiny):
    """A network of 3 pixels to 10 classes, compiled: `model("loss.label_smoothing=0.1", ...)`."""
    import keras

    from vit_train.data.images import Examples
    from vit_train.training.objective import compile_model

    def compiled(*overrides):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((8, 8, 3))
        network = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(inputs)))
        examples = Examples(np.zeros((20, 8, 8, 3), np.uint8), (np.arange(20) % 10).astype(np.int32))
        return compile_model(network, examples, tiny(*overrides), tuple("abcdefghij"))

    return compiled


def examples(count=20):
    random = np.random.default_rng(0)
    return random.normal(size=(count, 8, 8, 3)).astype(np.float32), (np.arange(count) % 7).astype(np.int32)


def test_the_validation_loss_stays_plain(model, eagerly):
    """Of whatever training minimises; so does the training loss that history.csv has."""
    from vit_train.metrics import TRAINING, VALIDATION
    from vit_train.training.objective import measured

    x, y = examples()
    changed = model("loss.label_smoothing=0.2", "loss.class_weights=[a:5]", "optimizer.learning_rate=1e-9")
    logits = changed.predict(x, verbose=0)
    plain = -log_softmax(logits.astype(float), axis=1)[np.arange(20), y].mean()
    logs = changed.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    assert measured(logs, VALIDATION)["val_loss"] == pytest.approx(plain, rel=1e-5)
    fitted = {name: values[0] for name, values in changed.fit(x, y, batch_size=20, verbose=0).history.items()}
    assert measured(fitted, TRAINING)["loss"] == pytest.approx(plain, rel=1e-5)
    q = 0.8 * np.eye(10)[y] + 0.02
    minimised = -(np.array([5, *[1] * 9]) * q * log_softmax(logits.astype(float), axis=1)).sum(axis=1).mean()
    assert fitted["loss"] == pytest.approx(minimised, rel=1e-5)


def test_what_is_measured_in_validation_only_is_no_part_of_training(model, eagerly):
    x, y = examples()
    compiled = model()
    before = [variable.path for variable in compiled.metrics_variables]
    assert before[-1] == "top5_accuracy/count"
    logs = compiled.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    guesses = compiled.predict(x, verbose=0).argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert logs["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, guesses), rel=1e-6)
    assert [variable.path for variable in compiled.metrics_variables] == before
    assert "balanced_accuracy" not in compiled.fit(x, y, batch_size=20, verbose=0).history
    again = compiled.evaluate(x[:7], y[:7], verbose=0, return_dict=True)  # which counts from 0
    guesses = compiled.predict(x[:7], verbose=0).argmax(axis=1)
    assert again["balanced_accuracy"] == pytest.approx((guesses == y[:7]).mean(), rel=1e-6)


def test_mixed_targets_train(model, eagerly):
    """A step with distributions of one class each is the step with labels but for rounding."""
    x, y = examples()
    weights = []
    for targets in (y, np.eye(10, dtype=np.float32)[y]):
        compiled = model("optimizer.learning_rate=0.1")
        compiled.fit(x, targets, batch_size=20, verbose=0)
        weights.append(compiled.get_weights())
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


ON_JAX = """
import keras, numpy as np
from conftest import TINY
from scipy.special import log_softmax
from vit_train.machine import backend
from vit_train.config.compose import load_config
loss = ["loss.label_smoothing=0.2", "loss.class_weights=[3:5]", "optimizer.learning_rate=1e-9"]
config = load_config([*TINY, *loss, "compute.backend=jax", "compute.devices=cpu"])
backend.configure(config.compute, config.seed)
from vit_train.data.images import Examples
from vit_train.training.objective import compile_model
inputs = keras.Input((3,))
network = keras.Model(inputs, keras.layers.Dense(10)(inputs))
data = Examples(np.zeros((14, 8, 8, 3), np.uint8), np.zeros(14, np.int32))
model = compile_model(network, data, config, tuple("0123456789"))
x, y = np.random.default_rng(0).normal(size=(14, 3)).astype("float32"), (np.arange(14) % 7).astype("int32")
logits = network.predict(x, verbose=0)
logs = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
logp = log_softmax(logits.astype(float), axis=1)
assert abs(logs["cross_entropy"] + logp[np.arange(14), y].mean()) < 1e-5
assert abs(logs["balanced_accuracy"] - (logits.argmax(1) == y).mean()) < 1e-6  # two examples of each class
one = np.eye(10, dtype="float32")[y]
mixed = np.float32(0.7) * one + np.float32(0.3) * np.roll(one, 1, 0)
for targets, q in ((y, one), (mixed, mixed)):
    fitted = model.fit(x, targets, batch_size=14, verbose=0).history
    w = np.where(np.arange(10) == 3, 5, 1)
    assert abs(fitted["loss"][0] + (w * (0.8 * q + 0.02) * logp).sum(1).mean()) < 1e-4, fitted
    assert abs(fitted["accuracy"][0] - (logits.argmax(1) == y).mean()) < 1e-6
    assert "balanced_accuracy" not in fitted
"""


@pytest.mark.slow
def test_on_jax_it_is_the_same(run_on):
    run_on("jax", ON_JAX)
