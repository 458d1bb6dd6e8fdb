"""Chains of elementwise operations that go over memory once."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from vit_train.machine import kernels


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Has XLA make one loop of `function` on TensorFlow, where each operation would be one; on JAX it does anyway.

    With `compute.kernels=keras` each operation is one again.
    """

    @functools.cache
    def compiled() -> Callable[..., Any]:
        import tensorflow as tf

        result: Callable[..., Any] = tf.function(function, jit_compile=True, autograph=False)
        return result

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        compile_it = keras.config.backend() == "tensorflow" and kernels.fused()
        return (compiled() if compile_it else function)(*arguments)

    return call
