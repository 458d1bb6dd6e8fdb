"""report.html while a run goes on."""

import dataclasses
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from vit_train.config.schema import Config
from vit_train.metrics import METRICS, Metric
from vit_train.report import pages, writer
from vit_train.rundir.history import Row
from vit_train.rundir.layout import RunDir

_SECONDS_BETWEEN_PAGES = 30.0
_WIDTH, _HEIGHT, _MARGIN = 640, 220, 8  # of a chart, in pixels


class LivePage:
    """Writes the page after the first epoch, and then not more than twice a minute, so that it takes no time."""

    def __init__(self, config: Config, run: RunDir, split: dict[str, int], parameters: int) -> None:
        self.config, self.run, self.split, self.parameters = config, run, split, parameters
        self.written: float | None = None
        self.kept = run.report_html.exists()  # of a finished run that goes on, until it is finished again

    def epochs(self, rows: list[Row]) -> None:
        """Called after each epoch, with the rows of history.csv so far."""
        if self.kept or (self.written is not None and time.monotonic() - self.written < _SECONDS_BETWEEN_PAGES):
            return
        self.written = time.monotonic()
        report = writer.of_training(self.config, self.run, self.split, self.parameters, rows)
        report = dataclasses.replace(report, status="running")
        shown = [metric for metric in METRICS if "training" in metric.parts and metric.short]
        more = {
            "now": f"{datetime.now():%Y-%m-%d %H:%M:%S}",
            "rows": rows,
            "metrics": shown,
            "charts": [chart(rows, metric) for metric in shown[:2]],
            "size": (_WIDTH, _HEIGHT),
        }
        with suppress(OSError):  # of a full disk, which the run says itself where it matters
            pages.write_live(report, self.run, more)


@dataclasses.dataclass(frozen=True)
class Chart:
    """A metric by epoch: points of two lines in pixels, and the lowest and highest value as text."""

    label: str
    lowest: str
    highest: str
    training: str
    validation: str


def chart(rows: Sequence[Row], metric: Metric) -> Chart:
    """The chart of a metric that is measured after every epoch, of at least one row."""
    names = (metric.column, f"val_{metric.column}")
    values = [row[name] for row in rows for name in names]
    low, high = min(values), max(values)

    def points(name: str) -> str:
        across = (_WIDTH - 2 * _MARGIN) / max(1, len(rows) - 1)
        down = (_HEIGHT - 2 * _MARGIN) / (high - low or 1)
        return " ".join(
            f"{_MARGIN + index * across:.1f},{_MARGIN + (high - row[name]) * down:.1f}"
            for index, row in enumerate(rows)
        )

    return Chart(metric.label, metric.text(low), metric.text(high), *map(points, names))
