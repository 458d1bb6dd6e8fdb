"""Chains of elementwise operations that go over memory once."""

import functools
from collections.abc import Callable
from typing import Any

import keras


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Has XLA make one loop of `function` on TensorFlow, where each operation would be one; on JAX it does anyway."""

    @functools.cache
    def compiled() -> Callable[..., Any]:
        import tensorflow as tf

        result: Callable[..., Any] = tf.function(function, jit_compile=True, autograph=False)
        return result

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return (compiled() if keras.config.backend() == "tensorflow" else function)(*arguments)

    return call
