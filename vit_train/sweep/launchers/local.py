"""Jobs as processes of this machine, which stop when the sweep does."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import vit_train
from vit_train.errors import CheckpointError
from vit_train.rundir.environment import cpu_cores
from vit_train.sweep.devices import Share, shares, visible_gpus


class LocalProcess:
    """A job on this machine."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        self.popen = popen

    def poll(self) -> int | None:
        """The exit code once it has ended, negative for a signal."""
        return self.popen.poll()

    def signal(self, number: int) -> None:
        """Hands a signal on."""
        self.popen.send_signal(number)

    def close(self) -> None:
        """Closes the pipe by which the job would have noticed the end of the sweep."""
        assert self.popen.stdin
        self.popen.stdin.close()


class LocalLauncher:
    """Starts jobs on this machine."""

    def shares(self, jobs: int) -> list[Share]:
        """An equal part of the cores, and a GPU, for each of so many jobs at once."""
        return shares(jobs, cpu_cores(), visible_gpus())

    def holds(self, log: Path) -> bool:
        """Never: the end of the sweep ends its jobs."""
        return False

    def start(self, arguments: list[str], log: Path, share: Share) -> LocalProcess:
        """Starts a job; raises CheckpointError if there cannot be a process or a log."""
        begin_log(log, arguments)
        command = [sys.executable, "-m", "vit_train.sweep.job", share.cores, *arguments]
        try:
            with log.open("ab") as output:
                return LocalProcess(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,  # never written to; see job.py
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        env={**os.environ, **safe_path(), **share.environment},
                        start_new_session=True,  # Ctrl-C in a terminal is for the sweep, which hands it on
                    )
                )
        except OSError as error:
            raise CheckpointError(f"{log}: the job cannot be started ({error.strerror})") from error


def safe_path() -> dict[str, str]:
    """The environment in which Python looks for no module in the working directory, where a user may have a random.py.

    It is empty where this program itself is found that way.
    """
    return {} if Path(vit_train.__file__).parents[1] == Path.cwd() else {"PYTHONSAFEPATH": "1"}


def begin_log(log: Path, arguments: list[str]) -> None:
    """Notes the command of a job that is to be started; raises CheckpointError if the log cannot be written to."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            file.write(f"$ vit-train {shlex.join(arguments)}\n".encode(errors="surrogateescape"))
    except OSError as error:
        raise CheckpointError(f"{log}: the job cannot be started ({error.strerror})") from error
