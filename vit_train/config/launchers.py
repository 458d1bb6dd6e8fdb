"""The keys of each launcher; `name` says which it is for, and conf/sweep/launcher/NAME.yaml has their values."""

from dataclasses import dataclass
from typing import Literal

from vit_train.config.convert import key


@dataclass(frozen=True, kw_only=True)
class LocalConfig:
    """This machine."""

    name: Literal["local"] = key("where the runs of a sweep go")


@dataclass(frozen=True, kw_only=True)
class SlurmConfig:
    """A Slurm cluster; what is null is left to its own defaults."""

    name: Literal["slurm"] = key("where the runs of a sweep go")
    cluster: Literal["slurm", "local"] = key("local runs on this machine what would be sent to Slurm, to try it")
    partition: str | None = key("partition of the cluster")
    account: str | None = key("account that is charged")
    time: int = key("minutes that a run may take; a minute and a half before, it saves its state and stops", minimum=3)
    memory: float | None = key("memory of a run, in GB", above=0)
    cpus: int = key("CPUs of a run", minimum=1)
    gpus: int = key("GPUs of a run, which are on one node", minimum=0)
    options: tuple[str, ...] = key("more options of sbatch, such as [exclusive,'qos=long']")
    setup: tuple[str, ...] = key("lines of shell that come before a run, such as ['module load cuda']")


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """A Ray cluster."""

    name: Literal["ray"] = key("where the runs of a sweep go")
    address: str = key("HOST:PORT of the cluster; auto is the one of this machine, local starts one on it")
    cpus: float = key("CPUs that a run takes of a node's", above=0)
    gpus: float = key("GPUs that a run takes of a node's; several runs share one if it is below 1", minimum=0)


LauncherConfig = LocalConfig | SlurmConfig | RayConfig
