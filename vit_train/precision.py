"""Which precision is the fastest where it is known: what `compute.precision=auto` takes. Needs a configured backend."""

import os

from vit_train.config import ComputeConfig
from vit_train.environment import processor

_MATRIX_UNITS = ("avx512_bf16", "amx_bf16")  # as Linux names the processor's instructions for bfloat16
_AMPERE = (8, 0)  # NVIDIA's first generation that multiplies matrices in bfloat16


def choose(compute: ComputeConfig) -> tuple[str, str]:
    """The precision of a run, and why if it was chosen here, else ""."""
    if compute.precision != "auto":
        return compute.precision, ""
    capability = _gpu_capability(compute.backend)
    if capability:
        name = "bfloat16" if capability >= _AMPERE else "float32"
        return name, f"the GPU has compute capability {capability[0]}.{capability[1]}"
    if compute.backend != "tensorflow":
        return "float32", f"on a processor, {compute.backend} was not seen to be faster in bfloat16"
    found = [unit for unit in _MATRIX_UNITS if unit in processor("flags").split()]
    return ("bfloat16", f"the processor has {found[0]}") if found else ("float32", "the processor has no bfloat16 unit")


def _gpu_capability(backend: str) -> tuple[int, int] | None:
    """Of the GPU that the backend takes, None if that is the processor."""
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        text = device.compute_capability if device.platform == "gpu" else None
        return _version(text) if text else None
    if backend == "torch":
        import torch

        on_gpu = torch.cuda.is_available() and os.environ.get("KERAS_TORCH_DEVICE") != "cpu"
        return torch.cuda.get_device_capability() if on_gpu else None
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("compute_capability") if gpus else None


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
