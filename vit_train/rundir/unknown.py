"""When the answer is "none of these": scores of an image's logits, and the least that is taken for known."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Score = Literal["confidence", "energy"]
SCORES: tuple[Score, ...] = ("confidence", "energy")


@dataclass(frozen=True)
class Rule:
    """An image whose score is below `threshold` is unknown, as the fraction `false_alarms` of validation images was.

    `score` is "confidence", the largest softmax probability (Hendrycks and Gimpel, arXiv 1610.02136), in (0, 1]; or
    "energy", the negative energy log sum exp of the logits (Liu et al., arXiv 2010.03759), in nats, of any sign.
    """

    score: Score
    threshold: float
    false_alarms: float

    def refuses(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Whether each image is unknown: bool [N]."""
        return scores < np.float32(self.threshold)


def rule_of(model: Any) -> Rule | None:
    """The rule that a model with preprocessing has, if any."""
    rule: Rule | None = model.get_layer("class_names").unknown
    return rule


def scores_of(score: Score, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """The scores of logits [N, K]: float32 [N]; computed in float64."""
    highest = logits.max(axis=1).astype(np.float64)
    log_sum = np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return np.asarray(np.exp(-log_sum) if score == "confidence" else highest + log_sum, np.float32)


def threshold_for(scores: npt.NDArray[np.float32], false_alarms: float) -> float:
    """The threshold below which at most the fraction `false_alarms` of known images' scores, [N], lie.

    It is in the middle between two scores, so that another runtime's rounding moves no image across.
    """
    ordered = np.sort(scores).astype(np.float64)
    refused = int(false_alarms * len(ordered) + 1e-9)  # 0.29 * 100 is less than 29
    return float(np.float32(ordered[max(refused - 1, 0) : refused + 1].mean()))
