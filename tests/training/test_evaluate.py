"""Logits -> predictions, against scikit-learn and SciPy."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss, log_loss, top_k_accuracy_score

from vit_train.training.evaluate import from_logits, predict


def sample(classes, images=500):
    generator = np.random.default_rng(classes)
    labels = generator.integers(0, classes, images)
    logits = generator.normal(size=(images, classes)).astype(np.float32) * 3
    logits[np.arange(images), labels] += 2
    return logits, labels


@pytest.mark.parametrize("classes", [6, 10, 100])
def test_columns_are_those_of_scikit_learn_and_scipy(classes):
    logits, labels = sample(classes)
    found, rows, names = from_logits(logits, labels), np.arange(len(labels)), np.arange(classes)
    probabilities = softmax(logits.astype(float), axis=1)
    np.testing.assert_allclose(found.true_probabilities, probabilities[rows, labels], rtol=1e-6)
    np.testing.assert_allclose(found.losses, -log_softmax(logits.astype(float), axis=1)[rows, labels], rtol=1e-6)
    np.testing.assert_allclose(found.top_probabilities, np.sort(probabilities, axis=1)[:, :-6:-1], rtol=1e-6)
    np.testing.assert_array_equal(found.top[:, 0], logits.argmax(1))
    assert found.losses.mean() == pytest.approx(log_loss(labels, probabilities, labels=names))
    assert found.briers.mean() == pytest.approx(
        brier_score_loss(labels, probabilities, labels=names, scale_by_half=False)
    )
    assert found.in_top.mean() == top_k_accuracy_score(labels, logits, k=5, labels=names)


def test_fewer_than_five_classes_are_all_there():
    found = from_logits(np.array([[0.0, 2.0], [3.0, 1.0]], np.float32), np.array([0, 0]))
    assert found.top.tolist() == [[1, 0], [0, 1]]
    assert found.right.tolist() == [False, True]
    assert found.in_top.all()


def test_large_logits_do_not_overflow():
    found = from_logits(np.array([[1e4, 0.0]], np.float32), np.array([1]))
    assert (found.losses[0], found.true_probabilities[0], found.briers[0]) == (1e4, 0, 2)


@given(
    hnp.arrays(np.float32, (5, 7), elements=st.sampled_from([0.0, 1.0, 2.0])),
    hnp.arrays(np.int32, 5, elements=st.integers(0, 6)),
)
def test_of_ties_the_lower_index_comes_first(logits, labels):
    order = [sorted(range(7), key=lambda index: (-row[index], index))[:5] for row in logits]
    found = from_logits(logits, labels)
    assert found.top.tolist() == order
    assert found.in_top.tolist() == [label in places for label, places in zip(labels, order, strict=True)]


def test_batches_give_what_all_at_once_gives():
    logits, labels = sample(10)

    class Lookup:
        """A model whose images are row numbers."""

        def predict_on_batch(self, images):
            return logits[images]

    rows = np.arange(len(labels))
    found = predict(Lookup(), ((part, labels[part]) for part in np.array_split(rows, 7)))
    whole = from_logits(logits, labels)
    for field in dataclasses.fields(whole):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(whole, field.name), strict=True)
