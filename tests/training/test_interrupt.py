import os
import signal
import subprocess
import sys

import pytest

from vit_train.errors import Interrupted
from vit_train.training.interrupt import StopRequest


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
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


def test_a_second_signal_ends_the_process_at_once():
    script = (
        "import os, signal\nfrom vit_train.training.interrupt import StopRequest\n"
        "with StopRequest():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (143, "")
