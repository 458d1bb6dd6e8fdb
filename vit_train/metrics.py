"""The metrics of a run, in one table. Whatever names, shows, ranks or stores metrics takes them from here."""

from dataclasses import dataclass
from typing import Literal

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
    optional: whether it may be absent or null in report.json, or an older history.csv may lack it.
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
)  # fmt: skip


# By their columns of history.csv and, of the test set, by their names in report.json.
TRAINING = {metric.column: metric for metric in METRICS if "training" in metric.parts}
VALIDATION = {f"val_{metric.column}": metric for metric in METRICS if "validation" in metric.parts}
TEST = {metric.column: metric for metric in METRICS if "test" in metric.parts}
