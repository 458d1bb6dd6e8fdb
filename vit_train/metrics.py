"""The metrics of a run, in one table. Whatever names, shows, ranks or stores metrics takes them from here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Part = Literal["training", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A mean over the images of one part of the data. Accuracies and the like are fractions in [0, 1].

    column: its name in history.csv, val_... on the validation images, and in report.json.
    label: in words, on pages and in tables; `short` heads a narrow column, and without it narrow tables have none.
    format: of a value.
    better: which of two values wins.
    parts: on which images it is measured; on those for training and validation it is after every epoch.
    meaning: what the label does not say.
    maximum: the highest value there can be; the lowest is 0.
    interval: whether report.json has a 95 % interval of it on the test set.
    optional: whether older files lack it, so that it may be absent or null in report.json.
    nullable: whether it is null in report.json where the data set has no such thing.
    own: of a plugin's metric its function, from the number of classes to a Keras metric.
    """

    column: str
    label: str
    short: str | None = None
    format: str = ".2%"
    better: Literal["higher", "lower"] = "higher"
    parts: tuple[Part, ...] = ("test",)
    meaning: str | None = None
    maximum: float | None = 1
    interval: bool = False
    optional: bool = False
    nullable: bool = False
    own: Callable[[int], Any] | None = None

    def text(self, value: float) -> str:
        """As tables and pages show it."""
        return format(value, self.format)

    def gain(self, value: float) -> float:
        """The value, or its negative, such that more is better."""
        return value if self.better == "higher" else -value


_ALWAYS: tuple[Part, ...] = ("training", "validation", "test")

METRICS = (
    Metric(column="loss", label="loss", short="loss", format=".4f", better="lower", parts=_ALWAYS,
           meaning="mean cross-entropy in nats, without label smoothing and class weights", maximum=None),
    Metric(column="accuracy", label="accuracy", short="acc", parts=_ALWAYS, interval=True),
    Metric(column="top5_accuracy", label="top-5", short="top-5", parts=_ALWAYS, interval=True),
    Metric(column="balanced_accuracy", label="balanced accuracy", parts=("validation", "test"), optional=True,
           meaning="mean of the accuracies of the classes with images, which all count alike"),
    Metric(column="superclass_accuracy", label="superclass accuracy", interval=True, nullable=True,
           meaning="of the 20 superclasses of CIFAR-100; none elsewhere"),
    Metric(column="macro_precision", label="macro precision", meaning="mean over the classes with test images"),
    Metric(column="macro_recall", label="macro recall", meaning="the same as the balanced accuracy"),
    Metric(column="macro_f1", label="macro F1", meaning="mean over the classes with test images"),
    Metric(column="calibration_error", label="expected calibration error", better="lower",
           meaning="of the most probable class, over 15 equal bins"),
    Metric(column="brier", label="Brier score", format=".4f", better="lower", maximum=2,
           meaning="squared distance of the probabilities from the truth, summed over the classes"),
)  # fmt: skip


# By their columns of history.csv and, of the test set, by their names in report.json.
TRAINING = {metric.column: metric for metric in METRICS if "training" in metric.parts}
VALIDATION = {f"val_{metric.column}": metric for metric in METRICS if "validation" in metric.parts}
TEST = {metric.column: metric for metric in METRICS if "test" in metric.parts}
