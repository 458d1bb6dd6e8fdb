"""Metrics against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

from vit_train.evaluate import ranks, score, score_classes


def sample(classes, images=500):
    generator = np.random.default_rng(classes)
    labels = generator.integers(0, classes, images)
    logits = generator.normal(size=(images, classes)).astype(np.float32) * 3
    logits[np.arange(images), labels] += 2
    return logits, labels


@pytest.mark.parametrize("classes", [6, 10, 100])
def test_scores_are_those_of_scikit_learn(classes):
    logits, labels = sample(classes)
    scores = score(logits, labels)
    names = np.arange(classes)
    assert scores.loss == pytest.approx(log_loss(labels, softmax(logits.astype(float), axis=1), labels=names))
    assert scores.accuracy == accuracy_score(labels, logits.argmax(1))
    assert scores.top5_accuracy == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=names))


def test_classes_are_those_of_scikit_learn():
    logits, labels = sample(10)
    labels[labels == 7] = 3
    for index, row in enumerate(score_classes(logits, labels, tuple("abcdefghij"))):
        own = labels == index
        assert (row.name, row.support) == ("abcdefghij"[index], own.sum())
        if index == 7:
            assert (row.accuracy, row.top5_accuracy) == (None, None)
        else:
            assert row.accuracy == pytest.approx(accuracy_score(labels[own], logits[own].argmax(1)))


def test_ties_go_to_the_lower_index():
    assert ranks(np.zeros((3, 3)), np.array([0, 1, 2])).tolist() == [0, 1, 2]


def test_large_logits_do_not_overflow():
    assert score(np.array([[1e4, 0.0]], np.float32), np.array([1])).loss == pytest.approx(1e4)


@given(
    hnp.arrays(np.float32, (5, 4), elements=st.sampled_from([0.0, 1.0, 2.0])),
    hnp.arrays(np.int32, 5, elements=st.integers(0, 3)),
)
def test_a_rank_is_a_place_in_the_stable_order(logits, labels):
    order = np.argsort(-logits, axis=1, kind="stable")
    expected = [list(row).index(label) for row, label in zip(order, labels, strict=True)]
    assert ranks(logits, labels).tolist() == expected
