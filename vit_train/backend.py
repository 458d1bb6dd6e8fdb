"""Chooses Keras' backend, precision and devices. Must run before anything imports Keras."""

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from vit_train.config import ComputeConfig
from vit_train.errors import ConfigError

_PACKAGES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def configure(compute: ComputeConfig, seed: int) -> None:
    """Sets up the process for one run: same config, same numbers.

    Raises ConfigError if the backend is not installed, or if this process has already loaded Keras on another one.
    """
    name = compute.backend
    if importlib.util.find_spec(name) is None:
        raise ConfigError(
            f"compute.backend={name}: {_PACKAGES[name]} is not installed; pip install 'vit-train[{name}]'"
        )
    os.environ["KERAS_BACKEND"] = name
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # start-up chatter; errors are raised all the same
    if compute.devices == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.environ["KERAS_TORCH_DEVICE"] = "cpu"
    if name == "jax":
        import jax

        jax.devices()  # JAX takes its accelerator before TensorFlow, needed for tf.data only, is loaded
    with stderr_held_back():
        import tensorflow as tf

        # Both look for a GPU, and its driver's absence is noted at length.
        if name != "tensorflow" or compute.devices == "cpu":
            tf.config.set_visible_devices([], "GPU")
        else:
            tf.config.list_physical_devices("GPU")
    import keras

    if keras.config.backend() != name:
        raise ConfigError(
            f"compute.backend={name}: this process already runs Keras on {keras.config.backend()}; "
            "start a new process for each backend"
        )
    keras.utils.clear_session()
    keras.config.set_dtype_policy(_POLICIES[compute.precision])
    keras.utils.set_random_seed(seed)
    # No measurable cost on a CPU, and XLA, which it rules out on TensorFlow, is slower there for these models.
    tf.config.experimental.enable_op_determinism()


@contextmanager
def stderr_held_back() -> Iterator[None]:
    """Shows what is written to stderr meanwhile only if there is an error.

    TensorFlow's C++ prints notes while it starts, before its own log level has any effect.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(terminal, held_back.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def device_name() -> str:
    """The device that trains, such as "cpu" or "NVIDIA H100", as the configured backend names it."""
    name = os.environ["KERAS_BACKEND"]
    if name == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    if name == "torch":
        import torch

        on_gpu = torch.cuda.is_available() and os.environ.get("KERAS_TORCH_DEVICE") != "cpu"
        return torch.cuda.get_device_name() if on_gpu else "cpu"
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    return str(tf.config.experimental.get_device_details(gpus[0])["device_name"]) if gpus else "cpu"
