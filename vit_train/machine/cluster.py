"""Several processes, on one machine or many, that train one model together: compute.devices=cluster, on JAX.

All run the same program on the same state. Process 0 leads: it alone writes and speaks. JAX keeps a service in it that
hears from each process every few seconds, so that none waits for ever for one that is gone.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO

from vit_train import console
from vit_train.errors import ConfigError, VitTrainError
from vit_train.machine.streams import stderr_held_back
from vit_train.text import to_resume

# Keras' names. Where they are not set, JAX asks Slurm, Open MPI or Kubernetes.
_PLACE = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID")
_SECONDS_TO_COME = 300  # that all processes have to start
_SECONDS_OF_SILENCE = 60  # after which a process is given up
# A process that JAX ends, or somebody kills, cannot say so. This shell outlives it by a moment, and says the last line
# that it was given.
_LAST_WORDS = (
    'trap "" INT TERM HUP; while IFS= read -r line; do last=$line; done; [ -z "$last" ] || printf "%s\\n" "$last" >&2'
)
_SIGNS = ("Gloo", "NCCL", "coordination", "heartbeat", "Socket closed", "UNAVAILABLE")  # of an error about another one


@dataclass
class _State:
    joined: bool = False  # whether this process is one of several, or was
    loss: str = ""  # what is said if this process, or another, is lost
    lost: bool = False
    herald: IO[str] | None = None
    native: Path = Path()  # what C++ writes meanwhile
    streams: tuple[int, int] = (1, 2)  # copies of stdout and stderr


_state = _State()


def join() -> None:
    """Waits for all processes of this training; raises ConfigError if it is not known which they are.

    If they do not come in time, JAX ends the process.
    """
    import jax

    # Its handler would take SIGTERM, at which a run saves its state.
    jax.config.update("jax_enable_preemption_service", False)  # type: ignore[no-untyped-call]
    address, count, index = _told_by_environment()
    _state.herald = _started_herald()
    _say_at_death(
        f"vit-train: compute.devices=cluster: the processes did not find each other within {_SECONDS_TO_COME} s; see "
        f"that all were started, and that each can reach {address or 'the first'}"
    )
    try:
        with stderr_held_back():
            jax.distributed.initialize(
                address, count, index,
                initialization_timeout=_SECONDS_TO_COME, heartbeat_timeout_seconds=_SECONDS_OF_SILENCE,
            )  # fmt: skip
    except (RuntimeError, ValueError) as error:
        _say_at_death("")
        raise ConfigError(f"compute.devices=cluster: {_reason(error)}") from error
    _state.joined = True
    _take_native_output()
    _expect("start them again")
    if jax.local_device_count() * jax.process_count() != jax.device_count():
        raise ConfigError(
            f"compute.devices=cluster: process {jax.process_index()} has {jax.local_device_count()} of the "
            f"{jax.device_count()} devices of {jax.process_count()} processes; each must have as many"
        )
    console.stderr.quiet = not leads()


def _told_by_environment() -> tuple[str | None, int | None, int | None]:
    """(address of process 0, number of processes, number of this one), each None if the environment does not say."""
    address, count, index = map(os.environ.get, _PLACE)
    try:
        numbers = [int(text) if text else None for text in (count, index)]
    except ValueError:
        text = f"{_PLACE[1]}={count}, {_PLACE[2]}={index}"
        raise ConfigError(f"compute.devices=cluster: {text}: must be whole numbers") from None
    return address.split(",")[0] if address else None, numbers[0], numbers[1]


def _reason(error: Exception) -> str:
    if "must be defined" in str(error) or "should be defined" in str(error):
        return (
            "nothing says which processes there are; start them with srun, or give each "
            f"{_PLACE[0]}=HOST:PORT {_PLACE[1]}=N {_PLACE[2]}=I, with I from 0 to N-1 and the HOST of process 0"
        )
    return f"the processes did not find each other ({str(error).splitlines()[0].rstrip('.')})"


class Followed(Exception):
    """This process has done its part of a run that process 0 leads, and which that one brings to its end."""


def joined() -> bool:
    """Whether this process is one of several, or was."""
    return _state.joined


def place() -> tuple[int, int]:
    """(number of this process, from 0; number of processes)."""
    if not joined():
        return 0, 1
    import jax

    return int(jax.process_index()), int(jax.process_count())


def leads() -> bool:
    """Whether this process writes and speaks; also where it is alone."""
    return place()[0] == 0


def told(text: str) -> str:
    """What process 0 gives to this function, in all processes."""
    import numpy as np
    from jax.experimental import multihost_utils

    data = np.frombuffer(text.encode(errors="surrogateescape"), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
    data = np.resize(data, size) if leads() else np.zeros(size, np.uint8)
    # As numbers of 32 bits, which are added up with zeros on the way.
    found = multihost_utils.broadcast_one_to_all(data.astype(np.int32))
    return np.asarray(found).astype(np.uint8).tobytes().decode(errors="surrogateescape")


def require_same(facts: Iterable[str]) -> None:
    """Raises ConfigError if process 0 gave other facts, such as `seed=1`, to this function."""
    if not joined():
        return
    mine = list(facts)
    theirs = told("\n".join(mine)).split("\n")
    if different := [pair for pair in zip_longest(mine, theirs, fillvalue="nothing") if pair[0] != pair[1]]:
        here, there = different[0]
        raise ConfigError(
            f"compute.devices=cluster: process {place()[0]} has {here}, and process 0 has {there}; start all of them "
            "with the same arguments, on the same data"
        )


def wait() -> None:
    """Returns once all processes have called it; where this one is alone, at once."""
    if joined():
        told("")


def tell_of(run: Path) -> Path:
    """The run directory of process 0, as it gives it, in all processes; also where this one is alone."""
    if not joined():
        return run
    run = Path(told(str(run)))
    _expect(f"continue from its last checkpoint with {to_resume(run)}")
    return run


def _expect(advice: str) -> None:
    """From now on, this is said if a process is lost, be it this one."""
    number, count = place()
    _state.loss = (
        f"process {number} of {count}: it, or another one, has ended or cannot be reached; {advice}; what JAX says of "
        f"it is in {_state.native}"
    )
    _say_at_death(f"vit-train: {_state.loss}")


@contextmanager
def losses_explained() -> Iterator[None]:
    """Turns what JAX raises when another process is gone into one sentence."""
    try:
        yield
    except Exception as error:
        if not joined() or not any(word in str(error) for word in _SIGNS):
            raise
        _state.lost = True
        console.logger.info("another process is lost: %s", error)
        raise VitTrainError(_state.loss) from error


def part() -> None:
    """All processes have done what they do together; from now on each is alone."""
    import jax

    jax.distributed.shutdown()  # type: ignore[no-untyped-call]
    _say_at_death("")
    _state.native.unlink(missing_ok=True)
    for number, copy in enumerate(_state.streams, start=1):
        os.dup2(copy, number)


def leave(code: int) -> None:
    """Ends this process with `code` if the others may still wait for it: Python's own end would wait for them."""
    if not joined():
        return
    import jax

    if jax.distributed.is_initialized():
        _say_at_death("")
        sys.stdout.flush()
        sys.stderr.flush()
        if not _state.lost:
            _state.native.unlink(missing_ok=True)
        os._exit(code)


def _take_native_output() -> None:
    """Lets a file have what C++ writes to stdout and stderr: whom gloo has found, and pages when a process is lost."""
    number, name = tempfile.mkstemp(prefix="vit-train-", suffix=".log")
    _state.native, _state.streams = Path(name), (os.dup(1), os.dup(2))
    console.person = _state.streams[1]
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors=sys.stderr.errors)
    for stream in (1, 2):
        os.dup2(number, stream)


def _started_herald() -> IO[str] | None:
    process = subprocess.Popen(
        ["/bin/sh", "-c", _LAST_WORDS], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        start_new_session=True,  # or it would get Ctrl-C from the terminal
    )  # fmt: skip
    return process.stdin


def _say_at_death(line: str) -> None:
    with suppress(OSError):
        print(line, file=_state.herald, flush=True)
