"""Chooses Keras' backend, precision and devices. Must run before anything imports Keras."""

import hashlib
import importlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vit_train.config.convert import show, values_of
from vit_train.config.schema import ComputeConfig, Config
from vit_train.console import say
from vit_train.data import kept
from vit_train.errors import ConfigError, OutOfMemory
from vit_train.files import cache_folder
from vit_train.machine import cluster, kernels
from vit_train.machine.gpu import find_gpu
from vit_train.machine.precision import choose
from vit_train.machine.streams import stderr_held_back
from vit_train.rundir.environment import cpu_cores, processor

PACKAGES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
_GPU_EXTRAS = {"tensorflow": "gpu", "jax": "jax-gpu", "torch": "torch"}
# Keras has a function keras.config.NAME and one set_NAME for each.
_KERAS_DEFAULTS = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "max_epochs": None,
    "max_steps_per_epoch": None,
}
PROGRAMS_LIMIT = 2 * 2**30  # bytes that compiled programs may take, for each kind of processor
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def require_installed(compute: ComputeConfig) -> None:
    """Raises ConfigError if the backend is not installed."""
    name = compute.backend
    if importlib.util.find_spec(name) is None:
        raise ConfigError(f"compute.backend={name}: {PACKAGES[name]} is not installed; pip install 'vit-train[{name}]'")


def configure(compute: ComputeConfig, seed: int, together: bool = False) -> None:
    """Sets up the process for one run: same config, same numbers.

    With `together` and compute.devices=cluster it waits for the other processes; else that is what `auto` is.
    Raises ConfigError if the backend is not installed or finds no GPU while one must be there, or if this process has
    already loaded Keras on another backend.
    """
    require_installed(compute)
    name = compute.backend
    os.environ["KERAS_BACKEND"] = name
    os.environ["KERAS_NNX_ENABLED"] = "false"  # which keras.json may turn on; layers then keep their state elsewhere
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # start-up chatter; errors are raised all the same
    if "avx512f" in processor("flags"):
        # TensorFlow takes oneDNN by itself only on processors with instructions for inference; with AVX512 alone it
        # trains the reference 1.9 times as fast, too.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    _keep_reductions_from_ynnpack()
    _take_devices(compute, together)
    import keras
    import tensorflow as tf

    if keras.config.backend() != name:
        raise ConfigError(
            f"compute.backend={name}: this process already runs Keras on {keras.config.backend()}; "
            "start a new process for each backend"
        )
    _share_cores(compute)
    logging.getLogger("tensorflow").addFilter(_is_no_advice)
    _forget_settings_elsewhere()
    keras.utils.clear_session()
    keras.config.set_dtype_policy(_POLICIES[choose(compute)[0]])
    keras.utils.set_random_seed(seed)
    kernels.use(compute.kernels)
    # No measurable cost on a CPU; XLA for a whole step, which Keras then rules out, is slower there for these models.
    tf.config.experimental.enable_op_determinism()


def _keep_reductions_from_ynnpack() -> None:
    """Has XLA compute sums itself on a processor.

    When two threads run one compiled function with a sum for the first time, what hands the sum to YNNPACK has both
    write to one list (xla::cpu::EmitYnnSubgraph), and one process in a hundred ended with a segmentation fault.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_experimental_ynn_fusion_type" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_experimental_ynn_fusion_type=".strip()


def _forget_settings_elsewhere() -> None:
    """Gives Keras its own defaults for what ~/.keras/keras.json and the environment may set: a run is its config."""
    import keras

    settings = keras.config
    for name, value in _KERAS_DEFAULTS.items():
        if (found := getattr(settings, name)()) != value:
            say(f"note: keras.json or the environment sets Keras' {name} to {found}; a run has {value} all the same")
        getattr(settings, f"set_{name}")(value)


def _is_no_advice(record: logging.LogRecord) -> bool:
    """Whether what TensorFlow logs is of use: that a function is traced anew for batches of other sizes is not."""
    return "triggered tf.function retracing" not in record.getMessage()


def _take_devices(compute: ComputeConfig, together: bool = False) -> None:
    """Loads the backend with the devices that it may use; raises ConfigError if a GPU must be there and is not."""
    name = compute.backend
    if compute.devices == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.environ["KERAS_TORCH_DEVICE"] = "cpu"
    if name == "jax":
        _keep_compiled_programs()
        import jax

        if together and compute.devices == "cluster":
            cluster.join()
        jax.devices()  # JAX takes its accelerator before TensorFlow, needed for tf.data only, is loaded
    if name == "torch":
        _load_torch()
    with stderr_held_back():
        import tensorflow as tf

        # Both look for a GPU, and its driver's absence is noted at length.
        if name != "tensorflow" or compute.devices == "cpu":
            tf.config.set_visible_devices([], "GPU")
        else:
            tf.config.list_physical_devices("GPU")
    if compute.devices == "gpu" and device_name() == "cpu":
        raise ConfigError(
            f"compute.devices=gpu: {PACKAGES[name]} finds no GPU; see whether nvidia-smi lists one, then "
            f"pip install 'vit-train[{_GPU_EXTRAS[name]}]', or take what there is with compute.devices=auto"
        )


def _share_cores(compute: ComputeConfig) -> None:
    """Lets an operation use its part's share of the cores only, where a batch is computed in parts."""
    parts = batch_parts(compute)
    if parts == 1:
        return
    import tensorflow as tf

    with suppress(RuntimeError):  # TensorFlow has computed in this process before, and keeps the threads it has
        tf.config.threading.set_intra_op_parallelism_threads(max(1, len(cpu_cores()) // parts))


def batch_parts(compute: ComputeConfig) -> int:
    """`compute.batch_parts` where it is of use, else 1: TensorFlow alone can work on them at once, on a processor.

    The backend must have its devices.
    """
    alone = compute.backend == "tensorflow" and not compute.splits and find_gpu("tensorflow") is None
    return compute.batch_parts if alone else 1


def _load_torch() -> None:
    """Loads PyTorch and the compiler that it loads later, Triton, before TensorFlow.

    Each of the two has an LLVM of its own whose symbols clash: Triton after TensorFlow ends in a segmentation fault.
    """
    with suppress(ImportError):  # PyTorch has it on Linux only, and not in its builds for processors
        importlib.import_module("triton")
    importlib.import_module("torch")


def _keep_compiled_programs() -> None:
    """Lets JAX keep on disk what it compiles: a resumed run, and the next one of a sweep, start in half the time.

    Programs are kept apart by the processor's features, since several kinds of machine may share a home folder. The
    oldest beyond a limit are removed.
    """
    features = hashlib.sha256(processor("flags").encode()).hexdigest()[:16]
    with suppress(OSError, RuntimeError):  # without a folder to write to, it compiles anew
        folder = cache_folder() / f"jax-{features}"
        folder.mkdir(parents=True, exist_ok=True)
        kept.trim(folder, PROGRAMS_LIMIT)
        if os.access(folder, os.W_OK):
            os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
            os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
            # A program that was cut short by a kill, or that the disk did not take, is compiled anew.
            warnings.filterwarnings("ignore", r"Error (reading|writing) persistent compilation cache", UserWarning)


@contextmanager
def memory_errors_explained(config: Config) -> Iterator[None]:
    """Turns every backend's way to say that memory ran out into OutOfMemory, which names the sizes to lower."""
    try:
        yield
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        found = values_of(config, "fills_memory")
        # The batch first: a smaller one is the same model.
        names = sorted(found, key=lambda name: not name.startswith("train."))
        sizes = [f"{name}={show(found[name])}" for name in names]
        raise OutOfMemory(
            f"memory on {device_name()} ran out; lower {', '.join(sizes)}, or set compute.precision=bfloat16"
        ) from error


def _is_out_of_memory(error: Exception) -> bool:
    named = type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError")  # of TensorFlow, of PyTorch
    return named or isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def device_name() -> str:
    """The device that trains, such as "cpu" or "NVIDIA H100", as the configured backend names it."""
    gpu = find_gpu(os.environ["KERAS_BACKEND"])
    return gpu.name if gpu else "cpu"
