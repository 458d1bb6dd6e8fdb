import io
import logging
import os
from pathlib import Path

import pytest
from rich.console import Console

from vit_train import console
from vit_train.errors import CheckpointError, DataError, VitTrainError


def test_the_log_keeps_what_is_said(tmp_path, capsys):
    with console.logged_to(tmp_path / "train.log"):
        console.say("[bold]as it is[/bold]")
    console.say("no more")
    assert capsys.readouterr().err == "[bold]as it is[/bold]\nno more\n"
    assert (tmp_path / "train.log").read_text().endswith("INFO [bold]as it is[/bold]\n")


def test_an_unexpected_error_leaves_its_traceback_in_the_log(tmp_path):
    message = r"unexpected ZeroDivisionError; the traceback is in .*train\.log"
    with pytest.raises(VitTrainError, match=message), console.logged_to(tmp_path / "train.log"):
        1 / 0  # noqa: B018
    assert "Traceback" in (tmp_path / "train.log").read_text()
    assert not any(isinstance(handler, logging.FileHandler) for handler in console.logger.handlers)


def test_a_disk_that_refuses_is_a_sentence(tmp_path):
    file = tmp_path / "history.csv"
    with pytest.raises(CheckpointError) as error, console.logged_to(tmp_path / "train.log"):
        raise OSError(28, "No space left on device", str(file))
    assert str(error.value) == (
        f"{file}: cannot be written or read (No space left on device); make room or fix the disk, then continue with "
        f"resume={tmp_path}"
    )


def test_a_full_disk_costs_the_log_a_line_and_no_more(capsys):
    with console.logged_to(Path("/dev/full")):
        console.say("still training")
    assert capsys.readouterr().err == "still training\n"


@pytest.mark.parametrize("place", ["full", "closed", "none"])
def test_what_stderr_does_not_take_is_in_the_log_and_costs_nothing(tmp_path, monkeypatch, place):
    with Path("/dev/full" if place == "full" else os.devnull).open("w", buffering=1) as stream:
        if place == "closed":
            stream.close()
        monkeypatch.setattr("sys.stderr", None if place == "none" else stream)
        with console.logged_to(tmp_path / "train.log"):
            for number in range(3):
                console.say(f"line {number}")
        log = (tmp_path / "train.log").read_text()
        assert log.count("stderr cannot be written to") >= 1
        assert log.count("INFO line") == 3
        console.say_error("after it")


def test_an_expected_error_is_logged_in_a_line(tmp_path):
    with pytest.raises(DataError), console.logged_to(tmp_path / "train.log"):
        raise DataError("the file is gone")
    assert (tmp_path / "train.log").read_text().endswith("ERROR the file is gone\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (3661, "1:01:01"), (360000, "100:00:00")]
)
def test_durations(seconds, text):
    assert console.duration(seconds) == text


def test_an_error_is_one_printable_line(capsys):
    console.say_error("model.depth=\n\x1b[31m\udcff\u00e9: must be")
    assert capsys.readouterr().err == "vit-train: model.depth=\\n\\x1b[31m\\udcff\u00e9: must be\n"


@pytest.fixture
def narrow(monkeypatch):
    """A terminal of 40 columns in the place of stdout."""
    terminal = Console(file=io.StringIO(), force_terminal=True, width=40, color_system=None, emoji=False, markup=False)
    monkeypatch.setattr(console, "stdout", terminal)
    return terminal.file


def test_a_table_too_wide_for_the_terminal_is_a_list(narrow):
    header, row = ["", "images", "loss", "accuracy", "top-5"], ["validation", "10,000", "1.2345", "55.14%", "81.86%"]
    console.print_table(header, [row])
    assert narrow.getvalue() == "validation\n  images: 10,000\n  loss: 1.2345\n  accuracy: 55.14%\n  top-5: 81.86%\n"


def test_a_table_that_fits_folds_its_text_only(narrow):
    console.print_table(
        ["picture", "class", "share"], [["a/very/long/path/to/cat.jpg", "cat", "91.2%"]], 2, ruled=False
    )
    lines = narrow.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert any("91.2%" in line for line in lines)
    assert not any(line.split() == ["picture"] for line in lines)


@pytest.mark.parametrize(("terminal", "shown"), [(True, "a\n\\x1bb\n"), (False, "a\n\x1bb\n")])
def test_a_text_keeps_its_lines_in_a_terminal_too(monkeypatch, capsys, terminal, shown):
    monkeypatch.setattr(console, "stdout", Console(force_terminal=terminal))
    console.put_lines("a\n\x1bb\n")
    assert capsys.readouterr().out == shown
