"""Rules for unknown images, against scikit-learn, SciPy and counting by hand."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from sklearn.metrics import roc_auc_score, roc_curve

from vit_train.report.refusals import refusals, separation
from vit_train.report.scores import evaluate_classes
from vit_train.rundir.predictions import join
from vit_train.rundir.unknown import Rule, scores_of, threshold_for
from vit_train.training.evaluate import from_logits


def sample(images=400, classes=4):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, images)
    return (4 * generator.normal(size=(images, classes)) + 3 * np.eye(classes)[labels]).astype(np.float32), labels


def test_scores_are_those_of_scipy():
    logits, labels = sample()
    wide = np.concatenate([logits, [[1e4, 0, 0, 0], [-1e4, -1e4, -1e4, -1e4]]]).astype(np.float32)
    np.testing.assert_allclose(scores_of("energy", wide), logsumexp(wide.astype(float), axis=1), rtol=1e-6)
    np.testing.assert_allclose(scores_of("confidence", wide), softmax(wide.astype(float), axis=1).max(1), rtol=1e-6)
    found = join([from_logits(logits[:7], labels[:7]), from_logits(logits[7:], labels[7:])])
    for score in ("confidence", "energy"):
        np.testing.assert_array_equal(found.scores(score), scores_of(score, logits))


@pytest.mark.parametrize("false_alarms", [0.29, 0.05, 0.5, 0.999])
def test_a_threshold_refuses_the_wanted_fraction(false_alarms):
    scores = np.random.default_rng(1).normal(size=100).astype(np.float32)
    rule = Rule("energy", threshold_for(scores, false_alarms), false_alarms)
    assert rule.refuses(scores).sum() == int(round(100 * false_alarms, 6))
    assert rule.threshold not in scores


def test_ties_and_few_images_are_rather_kept():
    many = np.array([1, 2, 2, 2, 3], np.float32)
    assert Rule("energy", threshold_for(many, 0.5), 0.5).refuses(many).sum() == 1
    assert Rule("energy", threshold_for(many, 0.1), 0.1).refuses(many).sum() == 0


def test_refusals_are_what_counting_gives():
    found = from_logits(*sample())
    rule = Rule("confidence", 0.8, 0.05)
    unknown = [share < np.float32(0.8) for share in found.top_probabilities[:, 0]]
    report = refusals(rule, found)
    assert report.refused == sum(unknown) / 400
    kept = [right for right, refused in zip(found.right, unknown, strict=True) if not refused]
    wrong = [refused for right, refused in zip(found.right, unknown, strict=True) if not right]
    assert (report.kept_accuracy, report.mistakes_refused) == pytest.approx((np.mean(kept), np.mean(wrong)))
    assert report.refused_interval[0] < report.refused < report.refused_interval[1]
    rows = evaluate_classes(found, [*"abcd", "absent"], rule)
    by_class = [[bad for bad, label in zip(unknown, found.labels, strict=True) if label == each] for each in range(4)]
    assert [row.refused for row in rows] == [*map(pytest.approx, map(np.mean, by_class)), None]
    assert {row.refused for row in evaluate_classes(found, "abcd")} == {None}
    assert refusals(Rule("energy", 1e9, 0.05), found).kept_accuracy is None


def test_separation_is_that_of_scikit_learn_and_of_counting_pairs():
    generator = np.random.default_rng(2)
    known, unknown = generator.integers(2, 9, 200), generator.integers(0, 7, 90)  # with ties
    area, false_positives = separation(known.astype(np.float32), unknown.astype(np.float32))
    truth, scores = np.repeat([1, 0], [200, 90]), np.concatenate([known, unknown])
    assert area == pytest.approx(roc_auc_score(truth, scores))
    wins = (known[:, None] > unknown).mean() + (known[:, None] == unknown).mean() / 2
    assert area == pytest.approx(wins)
    rates = zip(*roc_curve(truth, scores, drop_intermediate=False)[:2], strict=True)
    assert false_positives == pytest.approx(min(false for false, true in rates if true >= 0.95))
