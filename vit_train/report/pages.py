"""report.html and report.md, from what is in the run directory."""

import base64
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from vit_train.config.schema import Config
from vit_train.console import duration
from vit_train.data.images import with_channels
from vit_train.files import replace_file
from vit_train.report.recipe import nearest_recipe
from vit_train.report.scores import ClassScores, confusion
from vit_train.report.writer import Report, result_table
from vit_train.rundir import records
from vit_train.rundir.layout import RunDir
from vit_train.text import command, for_html, for_markdown, lines, markdown_code, setting

CONFUSIONS = 10  # pairs of classes in the list of the most frequent ones
EXTREMES = 5  # best and worst classes, at most


@dataclass(frozen=True)
class Confusion:
    """So many images of class `true` were taken for `predicted`, `share` of all that are of it."""

    true: str
    predicted: str
    count: int
    share: float


def write(name: str, report: Report, run: RunDir, config: Config, notes: list[str], path: Path) -> None:
    """Writes the page that template `name` makes of a run to `path`; the HTML needs no other file and no network."""
    replace_file(path, render(name, report, run, config, notes))


def write_live(report: Report, run: RunDir, more: dict[str, Any]) -> None:
    """Writes report.html of a run that goes on; `more` is what the page shows besides `report`."""
    page = template("live.html.j2", run.figures).render(report=report, run=run, **more)
    replace_file(run.report_html, page)


def template(name: str, figures: Path | None = None) -> jinja2.Template:
    """A page or text of this room, whose `picture` gives those in the folder `figures`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vit_train", "report"),
        autoescape=name.endswith(".html.j2"),
        finalize=for_html if name.endswith(".html.j2") else for_markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, interval=_interval, duration=_duration, code=_code)
    if figures is not None:
        environment.globals["picture"] = lambda figure: _picture(figures / f"{figure}.png")
    return environment.get_template(name)


def render(name: str, report: Report, run: RunDir, config: Config, notes: list[str], **more: Any) -> str:
    """The page that template `name` makes of a run; `more` is what it shows besides."""
    recipe, differences = nearest_recipe(config)
    taken_for = _confusions(report, run)
    result_header, result_rows = result_table(report)
    best, worst = _extremes(report.per_class)
    return template(name, run.figures).render(
        report=report,
        run=run,
        config=config,
        to_continue=command(setting("resume", run.path)),
        notes=notes,
        machine=records.read_environment(run),
        recipe=recipe,
        differences=differences,
        result_header=result_header,
        result_rows=result_rows,
        best=best,
        worst=worst,
        confusions=sorted(taken_for, key=lambda pair: -pair.count)[:CONFUSIONS],
        mostly={pair.true: pair for pair in sorted(taken_for, key=lambda pair: pair.count)},
        model_text=_text(run.figures / "model.txt"),
        **more,
    )


def _extremes(rows: list[ClassScores]) -> tuple[list[ClassScores], list[ClassScores]]:
    """Best and worst classes by accuracy, without overlap."""
    order = sorted((row for row in rows if row.accuracy is not None), key=lambda row: -(row.accuracy or 0))
    count = min(EXTREMES, len(order) // 2)
    return order[:count], order[::-1][:count]


def _confusions(report: Report, run: RunDir) -> list[Confusion]:
    if report.test is None:
        return []
    names = report.class_names
    matrix = confusion(records.read_predictions(run), len(names))
    support = matrix.sum(axis=1)
    np.fill_diagonal(matrix, 0)
    return [
        Confusion(names[true], names[guess], int(matrix[true, guess]), float(matrix[true, guess] / support[true]))
        for true, guess in np.argwhere(matrix)
    ]


@dataclass(frozen=True)
class _Picture:
    address: str
    width: int
    height: int


def _picture(path: Path) -> _Picture | None:
    """A PNG as a data URI with its size in pixels, which its header has; None if there is no such file."""
    if not path.exists():
        return None
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    return _Picture(_address(data), width, height)


def png_address(pixels: np.ndarray) -> str:
    """An image, uint8 [H, W, 3] or grey [H, W, 1], as a data URI."""
    data = io.BytesIO()
    Image.fromarray(with_channels(pixels, 3)).save(data, "PNG")
    return _address(data.getvalue())


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _text(path: Path) -> Markup | None:
    """A text file with its lines, for HTML."""
    return escape(lines(path.read_text(encoding="utf-8"))) if path.exists() else None


# Numbers are Markup, since nothing in them has to be escaped.
def _percent(value: float | None, digits: int = 1) -> Markup:
    return Markup("-" if value is None else f"{value:.{digits}%}")


def _interval(pair: tuple[float, float]) -> Markup:
    return Markup(f"{pair[0]:.1%} to {pair[1]:.1%}")


def _code(text: str) -> Markup:
    return Markup(markdown_code(text))


def _duration(seconds: float) -> Markup:
    return Markup(duration(seconds))
