"""What vit-train and vit-runs have in common: arguments, streams, and errors as one line and an exit code."""

import argparse
import codecs
import errno
import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from vit_train.errors import CheckpointError, ConfigError, VitTrainError

# Errors of writing to a stream, where no file has a name: a full disk, a reader or a terminal that has gone.
_LOST = (errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EBADF, errno.EDQUOT)


class Parser(argparse.ArgumentParser):
    """Raises a mistake as a ConfigError."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def answered(command: str, work: Callable[[], int]) -> int:
    """Does the `work` of a command and returns its exit code; an error becomes one line on stderr."""
    try:
        with output_lost(command):
            code = work()
            sys.stdout.flush()
        return code
    except VitTrainError as error:
        _say(str(error), command)
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted", command)
        return 128 + signal.SIGINT
    except Exception as error:
        return _unexpected(error, command)


@contextmanager
def output_lost(command: str) -> Iterator[None]:
    """Raises a CheckpointError if stdout does not take what is printed, and then prints no more."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in _LOST:
            raise
        # What is left in the buffer would otherwise be tried again when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise CheckpointError(f"the output of {command} cannot be written ({error.strerror})") from error


def prepare_process() -> None:
    """Makes sure that there are three streams, which take any text, and that matplotlib draws into files only.

    If the process dies in native code, such as by SIGSEGV or SIGABRT, stderr says of what, and where in Python.

    Where one was closed, a file would get its number, and the notes of C++ libraries. A name that is not UTF-8 comes
    out as the bytes that it is made of; what the terminal's encoding does not have is written with escapes.
    """
    os.environ["MPLBACKEND"] = "agg"  # a notebook names a module here that may be in its own environment only
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123, it lives as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    faulthandler.enable(2, all_threads=False)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors=_ANY_TEXT)


def _bytes_or_escapes(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


_ANY_TEXT = "vit_train.any_text"
codecs.register_error(_ANY_TEXT, _bytes_or_escapes)


def _say(text: str, command: str) -> None:
    from vit_train.console import say_error  # loads rich, for which --help does not wait

    say_error(text, command)


def _unexpected(error: Exception, command: str) -> int:
    """Says an error that nobody foresaw, where no train.log can take its traceback."""
    import tempfile  # takes a fifth of the time of --help, with what it imports
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix=f"{command}-", suffix=".log", delete=False) as file:
        traceback.print_exception(error, file=file)
    _say(f"unexpected {type(error).__name__}; the traceback is in {file.name}", command)
    return 1
