import os
import pty
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from vit_train.errors import Interrupted
from vit_train.training.interrupt import StopRequest


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_waits_for_the_check(number, code):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted) as error:
            stop.check()
    assert error.value.exit_code == code
    assert str(error.value) == f"stopped by {number.name}"
    assert signal.getsignal(number) is before


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_it_waits_for_no_signal():
    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor(1) as pool:
        stop = pool.submit(StopRequest().__enter__).result()
    assert not stop.requested
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 143)])
def test_where_nothing_is_to_be_saved_a_signal_ends_the_process(name, code):
    script = (
        "import os, signal\nfrom vit_train.training.interrupt import end_on_signals\n"
        f"end_on_signals()\nos.kill(os.getpid(), signal.{name})\nprint('still here')\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", f"vit-train: stopped by {name}\n")


def test_a_second_signal_ends_the_process_at_once():
    script = (
        "import os, signal\nfrom vit_train.training.interrupt import StopRequest, end_on_signals\n"
        "end_on_signals()\n"
        "with StopRequest():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (143, "")


def test_in_a_terminal_the_first_is_answered_at_once_and_the_second_gives_the_cursor_back():
    """While the main thread is in C for long, where Python's own handler has to wait."""
    script = (
        "import hashlib\nfrom vit_train.training.interrupt import StopRequest, end_on_signals\n"
        "end_on_signals()\n"
        "with StopRequest():\n"
        "    print('ready', flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 1_000_000_000)\n"
    )
    terminal, other_end = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=other_end)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    first = os.read(terminal, 1000)
    process.send_signal(signal.SIGINT)
    second = os.read(terminal, 1000)
    assert process.wait(timeout=60) == 130
    process.stdout.close()
    assert first == b"\r\x1b[Kstopping: the state is saved first; once more ends at once\r\n"
    assert second == b"\r\x1b[K\x1b[?25hvit-train: stopped by SIGINT\r\n"


def test_who_calls_from_python_keeps_the_process_and_gets_a_keyboard_interrupt():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
