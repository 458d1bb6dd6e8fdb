"""Jobs on a Ray cluster: each is a process beside an actor on some node. Ray kills both when the sweep dies.

The sweep and the nodes see the same files, and vit-train is installed on both.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from vit_train.config.launchers import RayConfig
from vit_train.console import say
from vit_train.errors import ConfigError
from vit_train.sweep.devices import Share
from vit_train.sweep.launchers.local import LocalLauncher


class _Node:
    """The actor: starts a job on its node and stays until the job ends."""

    def __init__(self, folder: Path, arguments: list[str], log: Path) -> None:
        os.chdir(folder)
        self.process = LocalLauncher().start(arguments, log, Share("", {}))

    def wait(self) -> int:
        return self.process.popen.wait()

    def signal(self, number: int) -> None:
        self.process.signal(number)


class RayProcess:
    """A job that waits for a node or runs on one."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.begun, self.end = actor.__ray_ready__.remote(), actor.wait.remote()

    def poll(self) -> int | None:
        """The exit code once it has ended, negative for a signal; SIGTERM if its node was lost: it can be resumed."""
        if not _is_there(self.end):
            return None
        try:
            return int(ray.get(self.end))
        except RayError:
            return -signal.SIGTERM

    def signal(self, number: int) -> None:
        """SIGKILL, or else SIGTERM, since workers of Ray may block SIGINT; what waits for a node never begins."""
        if not _is_there(self.begun):
            ray.kill(self.actor)
        else:
            self.actor.signal.remote(number if number == signal.SIGKILL else signal.SIGTERM)

    def close(self) -> None:
        """Gives back what the job took."""
        with suppress(RayError):
            ray.kill(self.actor)


def _is_there(result: Any) -> bool:
    ready, _ = ray.wait([result], timeout=0)
    return bool(ready)


class RayLauncher:
    """Sends jobs to the cluster that this process is connected to."""

    def __init__(self, config: RayConfig) -> None:
        self.actor = ray.remote(num_cpus=config.cpus, num_gpus=config.gpus, max_concurrency=2)(_Node)

    def shares(self, jobs: int) -> list[Share]:
        """All of what Ray gives."""
        return [Share("", {})] * jobs

    def holds(self, log: Path) -> bool:
        """Never: the end of the sweep ends its jobs."""
        return False

    def start(self, arguments: list[str], log: Path, share: Share) -> RayProcess:
        """Starts a job as soon as a node has room for it."""
        return RayProcess(self.actor.remote(Path.cwd(), arguments, log))


@contextmanager
def connected(config: RayConfig) -> Iterator[RayLauncher]:
    """A launcher for the cluster at `config.address`; raises ConfigError if there is none."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster started here tells nobody
    try:
        _look_for(config.address)
        ray.init(address=config.address, log_to_driver=False, logging_level="ERROR")
    except OSError:
        raise ConfigError(
            f"sweep.launcher.address={config.address}: no Ray cluster answers, or not without its token; start one "
            "with ray start --head, or one for this sweep alone with sweep.launcher.address=local"
        ) from None
    except (RuntimeError, ValueError, RayError) as error:
        raise ConfigError(f"sweep.launcher.address={config.address}: {str(error).strip().splitlines()[0]}") from None
    try:
        _note_if_nothing_fits(config)
        yield RayLauncher(config)
    finally:
        ray.shutdown()


def _look_for(address: str) -> None:
    """Raises OSError if nothing listens at HOST:PORT, for which Ray itself would wait many minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host.removeprefix("ray://"), int(port)), timeout=5).close()


def _note_if_nothing_fits(config: RayConfig) -> None:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(node.get("CPU", 0) >= config.cpus and node.get("GPU", 0) >= config.gpus for node in nodes):
        say(
            f"note: no node of the Ray cluster has {config.cpus:g} CPUs and {config.gpus:g} GPUs for a run; it waits "
            "until there is one"
        )
