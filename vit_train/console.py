"""What a person sees during a run: progress and lines on stderr, results on stdout."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from vit_train.errors import CheckpointError, VitTrainError, one_line

logger = logging.getLogger("vit_train")
_WIDEST = 1000  # a line in a file, where nothing needs to be folded
# Without markup, which would take a value such as [bias,norm] for a style.
stdout = Console(highlight=False, soft_wrap=True, markup=False, width=None if sys.stdout.isatty() else _WIDEST)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)

_SECONDS_BETWEEN_UPDATES = 0.2


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Keeps in train.log what is said meanwhile, with the time, and the traceback of an unexpected error.

    Those who read data have a DataError of their own, so an OSError is about the run directory; it becomes a
    CheckpointError.
    """
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    except VitTrainError as error:
        logger.error(error)
        raise
    except OSError as error:
        logger.exception("the run directory")
        raise CheckpointError(
            f"{error.filename or path.parent}: cannot be written or read ({error.strerror or error}); make room or "
            f"fix the disk, then continue with resume={path.parent}"
        ) from error
    except Exception as error:
        logger.exception("unexpected error")
        raise VitTrainError(f"unexpected {type(error).__name__}; the traceback is in {path}") from error
    finally:
        logger.removeHandler(handler)
        with suppress(OSError):  # what a full disk did not take is tried once more
            handler.close()


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name that logging calls
        """Does without a line that the disk refuses; what matters of the run directory says so itself."""


def say(text: str) -> None:
    """One line for the user during a run."""
    logger.info(text)
    stderr.print(text, markup=False)


def say_error(text: str, command: str = "vit-train") -> None:
    """The one sentence that ends a command; what a user typed may be in it, line breaks and control codes too."""
    stderr.print(f"{command}: {one_line(text)}", style="red", markup=False)


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


_HEADER = "  epoch    loss    acc  top-5  val loss    acc  top-5       lr images/s    left"


class TrainingDisplay:
    """A progress bar for the running epoch in a terminal; a line for each finished one everywhere."""

    def __init__(self, epochs: int, steps_per_epoch: int, batch_size: int, first_step: int = 0) -> None:
        self.epochs, self.steps_per_epoch, self.batch_size = epochs, steps_per_epoch, batch_size
        self.first_step = first_step  # of this process; a resumed run has others before it
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        self.progress = Progress(*columns, console=stderr, expand=True, transient=True, disable=not stderr.is_terminal)
        self.task = self.progress.add_task("", total=steps_per_epoch, epoch="", figures="")
        self.epoch = 0
        self.shown = self.started = time.monotonic()

    def __enter__(self) -> "TrainingDisplay":
        say(_HEADER)
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def start_epoch(self, epoch: int) -> None:
        """`epoch` counts from 1."""
        self.epoch, self.epoch_started = epoch, time.monotonic()
        self.progress.update(self.task, completed=0, epoch=f"{epoch}/{self.epochs}", figures="")

    def step(self, done: int, row: Callable[[], Mapping[str, float]]) -> None:
        """`done` steps of this epoch are complete; `row` is called only when it is time to show its figures.

        Fetching the figures waits for the device, so it is not done every step.
        """
        now = time.monotonic()
        if self.progress.disable or now - self.shown < _SECONDS_BETWEEN_UPDATES:
            return
        self.shown = now
        left = self._seconds_left((self.epoch - 1) * self.steps_per_epoch + done)
        speed = done * self.batch_size / (now - self.epoch_started)
        figures = row()
        text = (
            f"loss {figures['loss']:.3f} acc {figures['accuracy']:.3f} top-5 {figures['top5_accuracy']:.3f} "
            f"lr {figures['learning_rate']:.1e} {speed:.0f} images/s {duration(left)} left"
        )
        self.progress.update(self.task, completed=done, figures=text)

    def end_epoch(self, row: Mapping[str, float]) -> None:
        """Leaves the line of a finished epoch; `row` is one of history.csv."""
        left = self._seconds_left(self.epoch * self.steps_per_epoch)
        say(
            f"{f'{self.epoch}/{self.epochs}':>7} "
            f"{row['loss']:7.3f} {row['accuracy']:6.3f} {row['top5_accuracy']:6.3f}  "
            f"{row['val_loss']:8.3f} {row['val_accuracy']:6.3f} {row['val_top5_accuracy']:6.3f}  "
            f"{row['learning_rate']:7.1e} {row['images_per_second']:8.0f} {duration(left):>7}"
        )

    def _seconds_left(self, step: int) -> float:
        elapsed, steps = time.monotonic() - self.started, step - self.first_step
        return elapsed / max(1, steps) * (self.epochs * self.steps_per_epoch - step)


def print_table(header: list[str], rows: list[list[str]], text_columns: int = 1, ruled: bool = True) -> None:
    """A table on stdout, its first `text_columns` to the left and figures to the right; not ruled it is narrower.

    Text is folded where a terminal is too narrow; figures never are, and in a file nothing is.
    """
    table = Table() if ruled else Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, name in enumerate(header):
        text = index < text_columns
        table.add_column(name, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    for row in rows:
        table.add_row(*row)
    stdout.print(table, soft_wrap=False)
