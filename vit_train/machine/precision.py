"""Which precision is the fastest where it is known: what `compute.precision=auto` takes. Needs a configured backend."""

from vit_train.config.schema import ComputeConfig
from vit_train.machine.gpu import find_gpu
from vit_train.rundir.environment import processor

_MATRIX_UNITS = ("avx512_bf16", "amx_bf16")  # as Linux names the processor's instructions for bfloat16
_AMPERE = (8, 0)  # NVIDIA's first generation that multiplies matrices in bfloat16


def choose(compute: ComputeConfig) -> tuple[str, str]:
    """The precision of a run, and why if it was chosen here, else ""."""
    if compute.precision != "auto":
        return compute.precision, ""
    gpu = find_gpu(compute.backend)
    if gpu and gpu.capability:
        name = "bfloat16" if gpu.capability >= _AMPERE else "float32"
        return name, "the GPU has compute capability {}.{}".format(*gpu.capability)
    if compute.backend != "tensorflow":
        return "float32", f"on a processor, {compute.backend} was not seen to be faster in bfloat16"
    found = [unit for unit in _MATRIX_UNITS if unit in processor("flags").split()]
    return ("bfloat16", f"the processor has {found[0]}") if found else ("float32", "the processor has no bfloat16 unit")
