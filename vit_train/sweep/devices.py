"""Sharing out one machine among the jobs that run at once.

CPU cores are split by affinity, by which TensorFlow and JAX size their pools of threads.
OMP_NUM_THREADS is not enough: JAX does not read it, and TensorFlow reads it for some of its pools only.
"""

import os
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """What one job may use: `cores` as job.py takes them, "" for all, and additions to its environment."""

    cores: str
    environment: dict[str, str]


def shares(jobs: int, cores: list[int], gpus: list[str]) -> list[Share]:
    """One share for each of the jobs at once: an equal part of the cores, at least one, and a GPU if there are any.

    With more jobs than GPUs or cores, several share one; on a GPU they then take memory as they need it.
    """
    if jobs == 1:
        return [Share("", {})]
    size = max(1, len(cores) // jobs)
    starts = [index * size % len(cores) if cores else 0 for index in range(jobs)]
    return [
        Share(",".join(map(str, cores[start : start + size])), _gpu(index, jobs, gpus))
        for index, start in enumerate(starts)
    ]


def _gpu(index: int, jobs: int, gpus: list[str]) -> dict[str, str]:
    if not gpus:
        return {}
    grow = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"} if jobs > len(gpus) else {}
    return {"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)], **grow}


def visible_gpus() -> list[str]:
    """NVIDIA's GPUs as CUDA_VISIBLE_DEVICES names them: those it has already, or all that the driver lists."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name not in ("", "-1")]
    try:
        command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return found.stdout.split()
