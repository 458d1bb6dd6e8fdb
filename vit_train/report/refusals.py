"""What a rule for unknown images costs on known ones, and how well its score tells the one from the other."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from vit_train.report.scores import Interval, share
from vit_train.rundir.predictions import Predictions
from vit_train.rundir.unknown import Rule

RECALL = 0.95  # of known images, at which the false positives are counted


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """A rule, and what it makes of the test images; fractions in [0, 1].

    score, threshold, false_alarms: of the rule. refused: the fraction of the test images that it calls unknown, with
    its 95 % interval (Wilson). kept_accuracy: of the others; None if there are none. mistakes_refused: the fraction of
    the wrong answers that are refused; None if none is wrong.
    """

    score: str
    threshold: float
    false_alarms: float
    refused: float
    refused_interval: Interval
    kept_accuracy: float | None
    mistakes_refused: float | None


def refusals(rule: Rule, test: Predictions) -> Refusals:
    """What `rule` refuses of the test images."""
    refused = rule.refuses(test.scores(rule.score))
    fraction, interval = share(refused)
    return Refusals(
        score=rule.score,
        threshold=rule.threshold,
        false_alarms=rule.false_alarms,
        refused=fraction,
        refused_interval=interval,
        kept_accuracy=float(test.right[~refused].mean()) if not refused.all() else None,
        mistakes_refused=float(refused[~test.right].mean()) if not test.right.all() else None,
    )


def separation(known: npt.NDArray[np.float32], unknown: npt.NDArray[np.float32]) -> tuple[float, float]:
    """How well scores tell `known` images from `unknown` ones: (AUROC, FPR at 95 % TPR), each in [0, 1].

    AUROC is the chance that a known image has the higher score of the two, where ties count half. The other is the
    fraction of unknown images that are taken for known by the threshold that keeps 95 % of the known ones; known is
    the positive class, as in arXiv 2010.03759.
    """
    truth = np.repeat([1, 0], [len(known), len(unknown)])
    threshold = np.sort(known)[int((1 - RECALL) * len(known) + 1e-9)]
    return float(roc_auc_score(truth, np.concatenate([known, unknown]))), float((unknown >= threshold).mean())
