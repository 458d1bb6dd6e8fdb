import dataclasses

import pytest

from vit_train.config.compose import load_config
from vit_train.machine import precision
from vit_train.machine.gpu import Gpu

COMPUTE = load_config(["compute.precision=auto"]).compute


@pytest.mark.parametrize(
    ("backend", "capability", "flags", "chosen"),
    [
        ("tensorflow", None, "fma avx512f avx512_bf16", ("bfloat16", "the processor has avx512_bf16")),
        ("tensorflow", None, "fma amx_bf16 amx_tile", ("bfloat16", "the processor has amx_bf16")),
        ("tensorflow", None, "fma avx512f", ("float32", "the processor has no bfloat16 unit")),
        ("jax", None, "avx512_bf16", ("float32", "on a processor, jax was not seen to be faster in bfloat16")),
        ("jax", (9, 0), "avx512_bf16", ("bfloat16", "the GPU has compute capability 9.0")),
        ("tensorflow", (7, 5), "avx512_bf16", ("float32", "the GPU has compute capability 7.5")),
    ],
)
def test_bfloat16_is_chosen_where_it_is_known_to_be_faster(monkeypatch, backend, capability, flags, chosen):
    monkeypatch.setattr(precision, "find_gpu", lambda name: Gpu("NVIDIA", capability) if capability else None)
    monkeypatch.setattr(precision, "processor", lambda fact: flags)
    assert precision.choose(dataclasses.replace(COMPUTE, backend=backend)) == chosen


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_what_is_asked_for_is_taken(name):
    assert precision.choose(dataclasses.replace(COMPUTE, precision=name)) == (name, "")
