"""The progress of a training: a bar in a terminal, a line a minute elsewhere, and a line for each finished epoch."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from vit_train.console import duration, say, stderr
from vit_train.metrics import TRAINING, VALIDATION

_SECONDS_BETWEEN_UPDATES = 0.2  # of the bar
_SECONDS_BETWEEN_LINES = 60.0  # where there is no terminal
_RECENT = 30.0  # seconds that the rate is a mean of, and at least:
_FEWEST = 5  # steps
_BAR = 8  # columns that the bar needs
_ROOM = 2 + 3  # blanks beside it; and what ^C takes, which a terminal would write into a line of its own


class Pace:
    """How long steps, and all that lies between two epochs' steps, take: in the recent past, without compilation.

    A step counts from the end of the one before in its epoch; what lies between from the first validation batch on.
    """

    def __init__(self) -> None:
        self._steps: deque[float] = deque()
        self._sum = 0.0
        self._latest: float | None = None  # when the latest step of this epoch ended
        self._paused: float | None = None  # when the latest validation's first batch ended
        self._between: float | None = None

    def step(self, now: float) -> None:
        """A step has ended at `now`, in seconds."""
        if self._latest is not None:
            self._steps.append(now - self._latest)
            self._sum += now - self._latest
            while self._sum > _RECENT and len(self._steps) > _FEWEST:
                self._sum -= self._steps.popleft()
        elif self._paused is not None:
            self._between = now - self._paused
        self._latest, self._paused = now, None

    def validation_batch(self, now: float) -> None:
        """A batch of the validation has ended at `now`."""
        self._latest, self._paused = None, now if self._paused is None else self._paused

    @property
    def seconds_per_step(self) -> float | None:
        """Of the recent steps; None before there were two in an epoch."""
        return self._sum / len(self._steps) if self._steps else None

    def seconds_left(self, steps: int, epochs: int) -> float | None:
        """For so many steps and so many ends of epochs; None if nothing is known yet."""
        if not (steps or epochs):
            return 0.0
        if self.seconds_per_step is None and self._between is None:
            return None
        return steps * (self.seconds_per_step or 0.0) + epochs * (self._between or 0.0)


def fit(parts: Sequence[tuple[str, int]], width: int) -> str:
    """The texts of `parts` (text, rank) in one line of at most `width` characters: those of high ranks are left out.

    What has rank 0 stays, however narrow it is.
    """
    kept = list(parts)
    while len(line := " ".join(text for text, _ in kept if text)) > width and any(rank for _, rank in kept):
        least = max(rank for _, rank in kept)
        kept = [(text, rank) for text, rank in kept if rank < least]
    return line


_TRAINED, _VALIDATED = (
    {column: metric.short for column, metric in part.items() if metric.short} for part in (TRAINING, VALIDATION)
)


def _rank(index: int, second: int) -> int:
    """Of the metric at `index` of those shown: the first stays, the second has the rank `second`, others go sooner."""
    return (0, second)[index] if index < 2 else 4


# Of an epoch's line: the head, the width of the column, and its rank when there is little room.
_COLUMNS = (
    ("epoch", 7, 0),
    *((name, 6 if index else 7, _rank(index, 3)) for index, name in enumerate(_TRAINED.values())),
    *((name if index else f"val {name}", 6 if index else 9, _rank(index, 1))
      for index, name in enumerate(_VALIDATED.values())),
    ("lr", 8, 6),
    ("images/s", 8, 5),
    ("left", 8, 2),
)  # fmt: skip


def _line(texts: Sequence[str]) -> list[tuple[str, int]]:
    return [(f"{text:>{width}}", rank) for text, (_, width, rank) in zip(texts, _COLUMNS, strict=True)]


def _say_fitted(parts: Sequence[tuple[str, int]]) -> None:
    """In a terminal a line never folds, which would break a number; the log and a file get all of it."""
    whole = fit(parts, 1000)
    say(whole, fit(parts, stderr.width) if stderr.is_terminal else whole)


def _left(seconds: float | None) -> str:
    """At most eight characters."""
    if seconds is None:
        return "-"
    return duration(seconds) if seconds < 360_000 else f"{seconds / 3600:.0f} h"


class TrainingDisplay:
    """Shows the running epoch, as a bar in a terminal and else as a line a minute, and a line for each finished one."""

    def __init__(self, epochs: int, steps_per_epoch: int, batch_size: int) -> None:
        self.epochs, self.steps_per_epoch, self.batch_size = epochs, steps_per_epoch, batch_size
        unfolded = Column(no_wrap=True)
        self.bar = BarColumn(bar_width=_BAR, style="dim", complete_style="green", finished_style="green")
        columns = (
            TextColumn("{task.fields[before]}", table_column=unfolded, markup=False),
            self.bar,
            TextColumn("{task.fields[after]}", table_column=unfolded, markup=False),
        )
        self.progress = Progress(
            *columns, console=stderr, transient=True, disable=not stderr.is_terminal or stderr.quiet
        )
        self.task = self.progress.add_task("", total=steps_per_epoch, before="", after="")
        self.pace = Pace()
        self.epoch = 0
        self.compiled = False
        self.shown = self.said = time.monotonic()

    def __enter__(self) -> "TrainingDisplay":
        _say_fitted(_line([head for head, _, _ in _COLUMNS]))
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def start_epoch(self, epoch: int, doing: str | None = None) -> None:
        """`epoch` counts from 1; `doing` says what it is if it has no steps."""
        self.epoch = epoch
        if doing or not self.compiled:
            self._tell(0, doing or "compiling the first step", every=0)
        else:
            self._draw(0, [("", 0)])

    def start_validation(self) -> None:
        """The steps of the epoch are done, and what follows are the validation images."""
        self._tell(self.steps_per_epoch, "validating")

    def step(self, done: int, row: Callable[[], Mapping[str, float]]) -> None:
        """`done` steps of this epoch are complete; `row` is called only when it is time to show its metrics.

        Fetching them waits for the device, so it is not done every step.
        """
        now = time.monotonic()
        self.compiled = True
        self.pace.step(now)
        if self.progress.disable:
            if now - self.said >= _SECONDS_BETWEEN_LINES:
                self.said = now
                say(f"epoch {self.epoch}/{self.epochs} step {done}/{self.steps_per_epoch}: "
                    + fit(self._state(done, row()), 1000))  # fmt: skip
        elif now - self.shown >= _SECONDS_BETWEEN_UPDATES:
            self.shown = now
            self._draw(done, self._state(done, row()))

    def validation_batch(self) -> None:
        """A batch of the validation images is done."""
        self.pace.validation_batch(time.monotonic())
        self._tell(self.steps_per_epoch, "validating")

    def end_epoch(self, row: Mapping[str, float]) -> None:
        """Leaves the line of a finished epoch; `row` is one of history.csv."""
        self.said = time.monotonic()
        left = self.pace.seconds_left((self.epochs - self.epoch) * self.steps_per_epoch, self.epochs - self.epoch)
        metrics = [f"{row[column]:.3f}" for column in (*_TRAINED, *_VALIDATED)]
        rates = [f"{row['learning_rate']:.1e}", f"{row['images_per_second']:.0f}"]
        _say_fitted(_line([f"{self.epoch}/{self.epochs}", *metrics, *rates, _left(left)]))

    def _state(self, done: int, row: Mapping[str, float]) -> list[tuple[str, int]]:
        """Parts, with their ranks, of what there is to say after `done` steps of this epoch."""
        steps = (self.epochs - self.epoch + 1) * self.steps_per_epoch - done
        left, pace = self.pace.seconds_left(steps, self.epochs - self.epoch + 1), self.pace.seconds_per_step
        return [
            *((f"{name} {row[column]:.3f}", _rank(index, 2)) for index, (column, name) in enumerate(_TRAINED.items())),
            (f"lr {row['learning_rate']:.1e}", 5),
            ("" if pace is None else f"{self.batch_size / pace:.0f} images/s", 3),
            ("" if left is None else f"{_left(left)} left", 0),
        ]

    def _tell(self, done: int, text: str, every: float = _SECONDS_BETWEEN_LINES) -> None:
        """Says what else the epoch is at: beside the bar, or as a line every so many seconds."""
        now = time.monotonic()
        if not self.progress.disable:
            self._draw(done, [(text, 0)])
        elif now - self.said >= every:
            self.said = now
            say(f"epoch {self.epoch}/{self.epochs}: {text}")

    def _draw(self, done: int, state: list[tuple[str, int]]) -> None:
        """Fits the text to the terminal as it is now, so that the bar has room."""
        count = f"{self.epoch}/{self.epochs}"
        steps = f"{done:>{len(str(self.steps_per_epoch))}}/{self.steps_per_epoch}"
        before = f"epoch {count}" if stderr.width >= 70 else count
        after = fit([(steps, 0), *state], stderr.width - len(before) - _BAR - _ROOM)
        self.bar.bar_width = max(1, stderr.width - len(before) - len(after) - _ROOM)
        self.progress.update(self.task, completed=done, before=before, after=after)
