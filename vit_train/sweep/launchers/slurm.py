"""Jobs on a Slurm cluster, through submitit. They continue if the sweep dies, and the next one takes them over.

The sweep and the nodes see the same files, and `python` is the same on both.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError
from submitit.local.local import LocalJob

from vit_train.config.launchers import SlurmConfig
from vit_train.errors import ConfigError
from vit_train.sweep.devices import Share
from vit_train.sweep.launchers.local import begin_log, safe_path

_FOLDER = "submitit"  # beside a job's log
_SECONDS_FOR_FILES = 5.0  # until what a node wrote is seen here
_SECONDS_TO_SAVE = 90  # before the time is over
# States in which Slurm ends a job for reasons that are not the job's own; the last one is of submitit's local cluster.
_STOPPED = ("CANCELLED", "TIMEOUT", "DEADLINE", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "INTERRUPTED")


class SlurmProcess:
    """A job that Slurm has queued or runs."""

    def __init__(self, job: submitit.Job[int], log: Path) -> None:
        self.job, self.log = job, log
        self.ended: float | None = None  # when that was seen first

    def poll(self) -> int | None:
        """The exit code once it has ended. What was not the job's own doing is a SIGTERM, so it can be resumed."""
        # submitit waits for a preempted job to be queued again, which these are not.
        if not self.job.done() and self.job.state != "PREEMPTED":
            return None
        if self.job.paths.result_pickle.exists():
            error = self.job.exception()
            return self._failed(_last_line(error)) if error else self.job.result()
        self.ended = self.ended or time.monotonic()
        if time.monotonic() - self.ended < _SECONDS_FOR_FILES:
            return None
        state = self.job.state
        if state.startswith(_STOPPED):
            return -signal.SIGTERM
        if state.startswith("OUT_OF_MEMORY"):
            return -signal.SIGKILL
        return self._failed(f"it ended without a word as {state}")

    def _failed(self, reason: str) -> int:
        with self.log.open("a") as file:
            file.write(f"vit-train: Slurm job {self.job.job_id}: {reason}; more is in {self.job.paths.stderr}\n")
        return 1

    def signal(self, number: int) -> None:
        """SIGKILL, or else SIGTERM; what waits in the queue is taken out of it."""
        if isinstance(self.job, LocalJob):
            if number == signal.SIGKILL:
                self.job.cancel()
            elif not self.job.done():
                os.kill(int(self.job.job_id), signal.SIGTERM)
            return
        name = "KILL" if number == signal.SIGKILL else "TERM"
        for option in (["--state=PENDING"], ["--state=RUNNING", f"--signal={name}"]):
            subprocess.run(["scancel", *option, self.job.job_id], check=False, capture_output=True)

    def close(self) -> None:
        """Nothing is held."""


def _last_line(error: Exception) -> str:
    """The error of a traceback that submitit has put between two rules."""
    return str(error).split("-" * 22)[1].strip().splitlines()[-1]


class SlurmLauncher:
    """Sends jobs to Slurm; raises ConfigError where there is none."""

    def __init__(self, config: SlurmConfig) -> None:
        self.config = config
        if config.cluster == "slurm" and not shutil.which("sbatch"):
            raise ConfigError(
                "sweep.launcher=slurm: this machine has no sbatch; start the sweep on a login node of the cluster, or "
                "try it here with sweep.launcher.cluster=local"
            )

    def shares(self, jobs: int) -> list[Share]:
        """All of what Slurm gives."""
        return [Share("", {})] * jobs

    def holds(self, log: Path) -> bool:
        """Whether Slurm still has the newest job with this log."""
        return self._held(log) is not None

    def _held(self, log: Path) -> submitit.Job[int] | None:
        folder = log.parent / _FOLDER
        submitted = sorted(folder.glob("*_submitted.pkl"), key=lambda path: path.stat().st_mtime)
        if not submitted or self.config.cluster != "slurm":
            return None
        job = submitit.SlurmJob[int](folder, submitted[-1].name.removesuffix("_submitted.pkl"))
        return None if job.done(force_check=True) else job

    def start(self, arguments: list[str], log: Path, share: Share) -> SlurmProcess:
        """Queues a job, or takes over the one that is there; raises ConfigError if sbatch refuses it."""
        if held := self._held(log):
            return SlurmProcess(held, log)
        begin_log(log, arguments)
        os.environ.update(safe_path())  # which the job inherits, from here or through sbatch
        executor = submitit.AutoExecutor(folder=log.parent / _FOLDER, cluster=self.config.cluster)
        executor.update_parameters(**_parameters(self.config))
        try:
            return SlurmProcess(executor.submit(run_job, arguments, log), log)
        except FailedJobError as error:
            raise ConfigError(f"sweep.launcher=slurm: sbatch refuses a run: {str(error).split(chr(10))[-1]}") from None


def _parameters(config: SlurmConfig) -> dict[str, object]:
    """As submitit names them."""
    options = {
        name: value if given else True for name, given, value in (text.partition("=") for text in config.options)
    }
    given = {
        "mem_gb": config.memory,
        "gpus_per_node": config.gpus or None,
        "slurm_partition": config.partition,
        "slurm_account": config.account,
        "slurm_setup": list(config.setup) or None,
    }
    return {
        "name": "vit-train",
        "timeout_min": config.time,
        "cpus_per_task": config.cpus,
        "slurm_signal_delay_s": _SECONDS_TO_SAVE,
        # Queued again by Slurm itself, it would begin anew; sweep.resume continues from its state.
        "slurm_additional_parameters": {"no-requeue": True, **options},
        **{name: value for name, value in given.items() if value is not None},
    }


def run_job(arguments: list[str], log: Path) -> int:
    """On the node: `vit-train ARGUMENT ...`. The process is the job's own, so that each signal comes once."""
    from vit_train import single
    from vit_train.command_line import prepare_process

    prepare_process()
    for number in (signal.SIGTERM, signal.SIGCONT):  # which submitit has its processes ignore
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGUSR2, lambda number, frame: signal.raise_signal(signal.SIGTERM))  # the time is nearly over
    with _output_to(log):
        return single.main(arguments)


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Sends all that is printed to a file, from C++ too; submitit's own words after that go where they did before."""
    before = os.dup(1), os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(before[0], 1)
        os.dup2(before[1], 2)
