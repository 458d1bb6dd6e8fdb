"""What a person sees during a run: progress and lines on stderr, results on stdout."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from vit_train.errors import CheckpointError, VitTrainError
from vit_train.text import lines, one_line, to_resume

logger = logging.getLogger("vit_train")
person = 2  # the number of the stream that a person reads; another one where C++ writes to 2 for none to see
_WIDEST = 1000  # a line in a file, where nothing needs to be folded


class _Stderr:
    """sys.stderr as it is at the moment; no output is worth a run.

    Once it cannot be written to, since the terminal is gone or the disk is full, a line in train.log says so, and from
    then on it leads nowhere, also for what is written by C++ or when Python exits.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now(), name)

    def write(self, text: str) -> int:
        with self._dropping():
            self._now().write(text)
        return len(text)

    def flush(self) -> None:
        with self._dropping():
            self._now().flush()

    def _now(self) -> Any:
        # Rich puts a stream of its own in the place of sys.stderr while it shows a bar.
        return getattr(sys.stderr, "rich_proxied_file", sys.stderr)

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, AttributeError) as error:  # the second if it is closed, the third if it never was
            logger.info("note: stderr cannot be written to (%s); what it would have had is in this log only", error)
            with suppress(OSError, ValueError, AttributeError), Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), self._now().fileno())


# As it is: markup would take a value such as [bias,norm] for a style, and emoji a name such as :cat: for a picture.
stdout = Console(
    highlight=False, soft_wrap=True, markup=False, emoji=False, width=None if sys.stdout.isatty() else _WIDEST
)
stderr = Console(file=cast(IO[str], _Stderr()), highlight=False, soft_wrap=True, markup=False, emoji=False)
_FOLDED, _BETWEEN = 12, 3  # characters in a table: what folded text needs, and what lies between columns
_ERASE = "\r\x1b[K"  # the line that a terminal's cursor is in


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Keeps in train.log what is said meanwhile, with the time, and the traceback of an unexpected error.

    Those who read data have a DataError of their own, so an OSError is about the run directory; it becomes a
    CheckpointError.
    """
    handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    except VitTrainError as error:
        logger.error(one_line(str(error)))
        raise
    except OSError as error:
        logger.exception("the run directory")
        raise CheckpointError(
            f"{error.filename or path.parent}: cannot be written or read ({error.strerror or error}); make room or "
            f"fix the disk, then continue with {to_resume(path.parent)}"
        ) from error
    except Exception as error:
        logger.exception("unexpected error")
        raise VitTrainError(f"unexpected {type(error).__name__}; the traceback is in {path}") from error
    finally:
        _forget()
        logger.removeHandler(handler)
        with suppress(OSError):  # what a full disk did not take is tried once more
            handler.close()


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name that logging calls
        """Does without a line that the disk refuses; what matters of the run directory says so itself."""


def say(text: str, shown: str | None = None) -> None:
    """One line for the user during a run; `shown` is what a terminal has room for, where that is less."""
    text = one_line(text)
    logger.info(text)
    _forget()
    stderr.print(text if shown is None else shown)


def doing(text: str) -> None:
    """Says what takes a while: in a terminal until anything else is said, elsewhere as any other line."""
    global _passing
    if not stderr.is_terminal:
        say(text)
        return
    text = one_line(text)
    logger.info(text)
    _forget()
    stderr.print(text[: stderr.width - 1], style="dim", end="\r")
    _passing = True


_passing = False  # whether the last line on a terminal is one of `doing`


def _forget() -> None:
    """Takes back a line of `doing`."""
    global _passing
    if _passing:
        _passing = False
        stderr.file.write(_ERASE)
        stderr.file.flush()


@cache
def say_once(text: str) -> None:
    """The same, but only the first time that this process says it."""
    say(text)


def say_error(text: str, command: str = "vit-train") -> None:
    """The one sentence that ends a command; what a user typed may be in it, line breaks and control codes too."""
    _forget()
    stderr.quiet = False  # in one of several processes, of which only the first speaks otherwise
    stderr.print(f"{command}: {one_line(text)}", style="red")


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def put(text: str) -> None:
    """A line on stdout: printable in a terminal; elsewhere as it is, for the program that reads it."""
    _forget()
    print(one_line(text) if stdout.is_terminal else text)


def put_lines(text: str) -> None:
    """A text on stdout, ready for a file; in a terminal with visible characters only, and its line breaks."""
    _forget()
    print(lines(text) if stdout.is_terminal else text, end="")


def print_table(header: list[str], rows: list[list[str]], text_columns: int = 1, ruled: bool = True) -> None:
    """A table on stdout, its first `text_columns` to the left and figures to the right; not ruled it is narrower.

    Text is folded where a terminal is too narrow; figures never are, and in a file nothing is. Where that leaves text
    too little, each row is a list instead.
    """
    _forget()
    header, rows = list(map(one_line, header)), [list(map(one_line, row)) for row in rows]
    if stdout.is_terminal and _least_width(header, rows, text_columns) > stdout.width:
        _print_lists(header, rows)
        return
    if not ruled and _width(header, rows) <= stdout.width:
        _print_columns(header, rows, text_columns)
        return
    table = Table() if ruled else Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, name in enumerate(header):
        text = index < text_columns
        table.add_column(name, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    for row in rows:
        table.add_row(*row)
    stdout.print(table, soft_wrap=False)


def _print_columns(header: list[str], rows: list[list[str]], text_columns: int) -> None:
    """As rich prints such a table, which takes a second for two thousand rows."""
    widths = _widths(header, rows)

    def line(cells: list[str]) -> str:
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
        return (" " * _BETWEEN).join(
            cell + blank if index < text_columns else blank + cell
            for index, (cell, blank) in enumerate(zip(cells, blanks, strict=True))
        )

    stdout.print(line(header), style="bold")
    print("\n".join(["─" * _width(header, rows), *map(line, rows)]))


def _width(header: list[str], rows: list[list[str]]) -> int:
    """Characters of a table in which nothing is folded."""
    return sum(_widths(header, rows)) + _BETWEEN * (len(header) - 1)


def _widths(header: list[str], rows: list[list[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]


def _least_width(header: list[str], rows: list[list[str]], text_columns: int) -> int:
    """Characters that a table needs: of figures all, of text as many as can be read when it is folded."""
    widths = _widths(header, rows)
    return sum(min(width, _FOLDED) if index < text_columns else width for index, width in enumerate(widths)) + (
        _BETWEEN * len(widths)
    )


def _print_lists(header: list[str], rows: list[list[str]]) -> None:
    for first, *others in rows:
        stdout.print(f"{header[0]} {first}".strip())
        for name, value in zip(header[1:], others, strict=True):
            stdout.print(f"  {name}: {value}")
