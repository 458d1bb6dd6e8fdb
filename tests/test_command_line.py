"""Streams and exit codes, which both commands have in common."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vit_train import command_line
from vit_train.command_line import answered
from vit_train.errors import DataError

ROOT = Path(__file__).resolve().parents[1]


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("cat.png:\nis no picture"), 3, "vit-runs: cat.png:\\nis no picture\n"),
        (KeyboardInterrupt(), 130, "vit-runs: interrupted\n"),
        (
            OSError(errno.ENOSPC, "No space left"),
            4,
            "vit-runs: the output of vit-runs cannot be written (No space left)\n",
        ),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(capsys, monkeypatch, error, code, said):
    monkeypatch.setattr(command_line.os, "dup2", lambda *descriptors: None)  # pytest's own output
    assert answered("vit-runs", lambda: fail(error)) == code
    assert capsys.readouterr() == ("", said)


def sh(line, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, "LC_ALL": "C.UTF-8"}
    command = ["sh", "-c", line]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, timeout=120, check=False)


def test_a_signal_that_a_library_would_turn_into_its_own_error(tmp_path):
    """OmegaConf, which is interrupted while it makes a list, raises an AttributeError."""
    code = (
        "import signal, sys\nfrom vit_train import cli\n\ndef compose(arguments):\n    try:\n"
        "        signal.raise_signal(signal.SIGINT)\n    except BaseException:\n        raise AttributeError\n\n"
        "cli.run = compose\nsys.exit(cli.main())\n"
    )
    (tmp_path / "main.py").write_text(code)
    result = sh('"$PYTHON" main.py', tmp_path)
    assert (result.returncode, result.stderr) == (130, b"vit-train: stopped by SIGINT\n")


def test_a_full_disk_behind_stdout(tmp_path):
    result = sh('"$PYTHON" -m vit_train --help > /dev/full', tmp_path)
    assert (result.returncode, result.stderr) == (
        4,
        b"vit-train: the output of vit-train cannot be written (No space left on device)\n",
    )


def test_closed_streams_take_no_file_s_number(tmp_path):
    code = (
        "import os, sys; from vit_train.command_line import prepare_process; prepare_process(); print('gone');"
        "print('gone', file=sys.stderr); os.write(int(sys.argv[1]), str(os.open('file', os.O_CREAT)).encode())"
    )
    result = sh(f'exec 7> answer; "$PYTHON" -c "{code}" 7 <&- >&- 2>&-', tmp_path)
    assert result.returncode == 0
    assert int((tmp_path / "answer").read_text()) > 2


def test_a_notebook_s_way_to_plot_is_not_taken(tmp_path):
    """It names a module that may be in the notebook's own environment only, and matplotlib would not load."""
    code = "from vit_train.command_line import prepare_process; prepare_process(); import matplotlib; print('drawn')"
    environment = "MPLBACKEND=module://matplotlib_inline.backend_inline"
    assert sh(f'{environment} "$PYTHON" -c "{code}"', tmp_path).stdout == b"drawn\n"


@pytest.mark.parametrize(("number", "name"), [("SIGSEGV", "Segmentation fault"), ("SIGABRT", "Aborted")])
def test_a_signal_in_native_code_is_named(tmp_path, number, name):
    code = "import os, signal; from vit_train.command_line import prepare_process; prepare_process();"
    result = sh(f'"$PYTHON" -c "{code} os.kill(os.getpid(), signal.{number})"', tmp_path)
    assert result.stderr.decode().startswith(f"Fatal Python error: {name}\n")


def test_a_name_that_is_not_utf_8_comes_out_as_it_is(tmp_path):
    code = "from vit_train.command_line import prepare_process; prepare_process(); print('\\udcff \\ud800')"
    assert sh(f'"$PYTHON" -c "{code}"', tmp_path).stdout == b"\xff \\ud800\n"
