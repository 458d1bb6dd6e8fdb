"""Whether layers compute in fused operations of their own or just as Keras' layers do: `compute.kernels`."""

_fused = True


def use(kernels: str) -> None:
    """Takes the value of `compute.kernels`, "auto" or "keras", for all that this process computes from now on."""
    global _fused
    _fused = kernels == "auto"


def fused() -> bool:
    """Whether fused operations may take the place of Keras' own."""
    return _fused
