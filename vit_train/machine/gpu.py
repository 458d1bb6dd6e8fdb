"""The GPU that the configured backend trains on."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """Its name, such as "NVIDIA H100", and NVIDIA's compute capability; None for another accelerator."""

    name: str
    capability: tuple[int, int] | None


def find_gpu(backend: str) -> Gpu | None:
    """The first one that the backend takes; None if it takes the processor."""
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        capability = _version(getattr(device, "compute_capability", ""))
        return None if device.platform == "cpu" else Gpu(str(device.device_kind), capability)
    if backend == "torch":
        import torch

        on_gpu = torch.cuda.is_available() and os.environ.get("KERAS_TORCH_DEVICE") != "cpu"
        return Gpu(torch.cuda.get_device_name(), torch.cuda.get_device_capability()) if on_gpu else None
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return Gpu(str(details["device_name"]), details.get("compute_capability")) if gpus else None


def _version(text: str) -> tuple[int, int] | None:
    """(9, 0) of "9.0", as JAX gives it; None of ""."""
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if minor else None
