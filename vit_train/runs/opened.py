"""A run as Python has it: what `vit_train.load_run` gives."""

import base64
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vit_train.config import plugins
from vit_train.config.schema import Config
from vit_train.console import duration
from vit_train.errors import ConfigError
from vit_train.files import is_there
from vit_train.report import canvas, pages, writer
from vit_train.report.curves import draw_curves
from vit_train.report.writer import Report
from vit_train.rundir import history, predictions, records
from vit_train.rundir.find import find_run
from vit_train.rundir.layout import RunDir
from vit_train.rundir.predictions import Predictions
from vit_train.runs import loading


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """What is in a run directory. What is read later than `config` is read once, when it is first asked for.

    Each of them raises CheckpointError where its file is damaged.
    """

    path: Path
    config: Config
    plugin: tuple[str, ...] = ()  # the files that it was made with by plugin=FILE

    @property
    def state(self) -> str:
        """completed, running, interrupted or failed, as it is now."""
        return records.state(RunDir(self.path))

    @cached_property
    def report(self) -> Report | None:
        """What report.json holds, such as `report.test.accuracy`; None before there is one."""
        return writer.read(RunDir(self.path)) if is_there(RunDir(self.path).report_json) else None

    @cached_property
    def history(self) -> dict[str, npt.NDArray[Any]]:
        """The columns of history.csv, each [epochs]: float64, NaN where there is no value; int64 for epoch and step."""
        rows = records.read_rows(RunDir(self.path))
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
        counts = {name: columns[name].astype(np.int64) for name in ("epoch", "step") if name in columns}
        return columns | counts

    @cached_property
    def predictions(self) -> Predictions | None:
        """What the model says of each test image; None before the test set is read."""
        return records.read_predictions(RunDir(self.path)) if is_there(RunDir(self.path).predictions) else None

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the labels."""
        known = self.report.class_names if self.report else ()
        return known or tuple(map(str, records.read_environment(RunDir(self.path))["class_names"]))

    @property
    def figures(self) -> dict[str, Path]:
        """The pictures in figures/ by their names, such as "curves"."""
        return {path.stem: path for path in sorted(RunDir(self.path).figures.glob("*.png"))}

    @cached_property
    def model(self) -> Any:
        """The model of model.keras, or of the best epoch so far, as `vit_train.load_model` gives it.

        Where this process has not loaded Keras yet, it does so on TensorFlow and without a GPU.
        """
        with plugins.loaded(self.plugin):
            return loading.load(RunDir(self.path), None if "keras" in sys.modules else loading.ANYWHERE)[0]

    def history_frame(self) -> Any:
        """`history` as a pandas.DataFrame with a row for each epoch."""
        return _frame(self.history, "history_frame: ")

    def predictions_frame(self) -> Any:
        """predictions.csv as a pandas.DataFrame with a row for each test image; without rows where there is none."""
        if self.predictions is None:
            return _frame({}, "predictions_frame: ")
        files = predictions.read_files(RunDir(self.path).predictions)
        return _frame(predictions.table(self.predictions, self.class_names, files), "predictions_frame: ")

    def __repr__(self) -> str:
        return f"<vit_train.Run {self.path}: {self._title()}>"

    def _title(self) -> str:
        parts = [f"{self.config.model.name} on {self.config.dataset.name}", self.state]
        if self.report and self.report.headline:
            parts.append("{} {:.2%}".format(*self.report.headline))
        return ", ".join(parts)

    def _repr_html_(self) -> str:
        """What a notebook shows: scores and curves, in the colours of its page."""
        rows = records.read_rows(RunDir(self.path))
        best = history.best(rows, self.config.train.checkpoint.monitor) if rows else {}
        curves = canvas.on_any_page(lambda: draw_curves(rows, int(best["epoch"]))) if rows else b""
        return pages.template("notebook.html.j2").render(
            title=self._title(),
            path=self.path,
            report=self.report,
            epochs=f"{len(rows)} of {self.config.train.epochs}",
            best=f"{best['epoch']:.0f}" if best else None,
            time=duration(sum(row.get("seconds", 0) for row in rows)),
            table=writer.result_table(self.report) if self.report else ([], []),
            curves=base64.b64encode(curves).decode(),
        )


def open_run(run: str | os.PathLike[str], plugin: Sequence[str], outputs: str | os.PathLike[str]) -> Run:
    """The run that a path, a part of its name, or `latest` means; raises ConfigError or CheckpointError without it."""
    found = find_run(os.fspath(run), Path(outputs))
    with plugins.loaded(plugin):
        return Run(found.path, records.load_config(found), tuple(plugin))


def _frame(columns: Mapping[str, npt.NDArray[Any]], what: str) -> Any:
    try:
        import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise ConfigError(f"{what}needs pandas: pip install pandas; `history` and `predictions` are arrays") from None
    return pandas.DataFrame(dict(columns))
