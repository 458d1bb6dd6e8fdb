"""Whether two runs differ on the same test images by more than luck."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from vit_train.files import is_there
from vit_train.rundir import predictions, records
from vit_train.rundir.layout import RunDir

_RESAMPLES = 100_000


@dataclass(frozen=True)
class Difference:
    """Of the accuracy of a second run less that of a first one, on the same `images`.

    interval: of 95 %, by the bootstrap over the images. p: of McNemar's exact test, two-sided.
    """

    images: int
    only_first: int  # right
    only_second: int
    interval: tuple[float, float]
    p: float

    def row(self) -> list[str]:
        """Points of accuracy, their interval, and p."""
        points = 100 * (self.only_second - self.only_first) / self.images
        low, high = (100 * end for end in self.interval)
        return [f"{points:+.2f}", f"{low:+.2f} to {high:+.2f}", f"{self.p:.2g}"]


def difference(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> Difference:
    """The difference of two runs from which images each had right, bool [N].

    Should they be equally good, a coin decides which of them is right where one alone is (Q. McNemar, Psychometrika,
    1947). To draw N images again is to draw how often each alone is right, so the bootstrap needs only these numbers.
    """
    images, only_first, only_second = len(first), int((first & ~second).sum()), int((second & ~first).sum())
    differ = only_first + only_second
    chances = np.array([only_first, only_second, images - differ]) / images
    drawn = np.random.default_rng(0).multinomial(images, chances, size=_RESAMPLES)
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / images, (0.025, 0.975))
    p = float(binomtest(only_second, differ, 0.5).pvalue) if differ else 1.0
    return Difference(images, only_first, only_second, (float(low), float(high)), p)


def beside_published(own: float, published: float, images: int) -> list[str]:
    """Points of accuracy that a run has more than a published one, and their interval of 95 %.

    Which of the `images` the published one had right is not on record, so both are taken for samples of their own.
    """
    error = (sum(accuracy * (1 - accuracy) for accuracy in (own, published)) / images) ** 0.5
    points, half = 100 * (own - published), 196 * error
    return [f"{points:+.2f}", f"{points - half:+.2f} to {points + half:+.2f}"]


def tested(first: RunDir, second: RunDir) -> Difference | str | None:
    """The difference of two runs, or why it cannot be told; None if one of them has no predictions."""
    if not (is_there(first.predictions) and is_there(second.predictions)):
        return None
    found = [records.attempt(records.read_predictions, run, note=True) for run in (first, second)]
    if found[0] is None or found[1] is None:
        return None
    if not np.array_equal(found[0].labels, found[1].labels) or not _same_images(first, second):
        return "has another test set, so that the difference is not tested"
    return difference(found[0].right, found[1].right)


def _same_images(first: RunDir, second: RunDir) -> bool:
    """Whether runs whose labels are the same have them of the same images: by data set, and by content or by files."""
    names, contents = [], []
    for run in (first, second):
        names.append((records.attempt(records.read_config, run) or {}).get("dataset.name"))
        contents.append((records.attempt(records.read_environment, run) or {}).get("data_sha256"))
    files = [predictions.read_files(run.predictions) for run in (first, second)]
    if files == [None, None]:
        return names[0] == names[1] and contents[0] == contents[1]
    # With other training images, as by dataset.exclude, the content is another one, though the test files are the same.
    return contents[0] == contents[1] or files[0] == files[1]
