"""One model trained on several devices: each holds all of it and takes its part of every batch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from vit_train.backend import device_name, stderr_held_back
from vit_train.config import Config
from vit_train.errors import ConfigError


class Devices:
    """The devices that train a run: those that the backend finds with compute.devices=all, and else one.

    Raises ConfigError if the batch, or the model on TensorFlow, cannot be shared out to them.
    """

    def __init__(self, config: Config) -> None:
        self.name = device_name()
        self.count = 1
        self._distribution: Any = None
        if config.compute.devices == "all":
            found = keras.distribution.list_devices()
            self.name, self.count = f"{len(found)} x {self.name} ({', '.join(found)})", len(found)
        if self.count > 1:
            _require_parts(config, self.count)
            self._distribution = _distribution(config.compute.backend, found)

    def scope(self) -> AbstractContextManager[Any]:
        """Where a model must be built, compiled, trained and evaluated."""
        return self._distribution.scope() if self._distribution else nullcontext()


def _require_parts(config: Config, count: int) -> None:
    size = config.train.batch_size
    if size % count:
        fits = [str(size // count * count)] * (size > count) + [str(-(-size // count) * count)]
        raise ConfigError(
            f"train.batch_size={size}: cannot be shared out evenly to the {count} devices of compute.devices=all; "
            f"use {' or '.join(fits)}"
        )
    if config.model.name == "resnet50v2" and config.compute.backend == "tensorflow":
        raise ConfigError(
            f"compute.devices=all: on TensorFlow each of the {count} devices would normalise its part of a batch of "
            "model=resnet50v2 alone; use compute.backend=jax, or compute.devices=auto"
        )


def _distribution(backend: str, names: list[str]) -> Any:
    if backend == "jax":
        return keras.distribution.DataParallel(devices=names)
    import tensorflow as tf

    with stderr_held_back():
        return tf.distribute.MirroredStrategy(names)


def replicas() -> int:
    """How many copies of the step TensorFlow runs at once; other backends run one, which is spread over the devices."""
    if keras.config.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def step_alike(
    gradients: list[Any],
    is_good: Callable[[list[Any]], Any],
    step: Callable[[list[Any]], None],
    pass_over: Callable[[], None],
) -> None:
    """Lets all of TensorFlow's replicas take the same `step`, with the sum of their gradients, or none of them.

    To be called in each replica. A branch of one replica may not talk to the others, so the branch is around them all.
    """
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)

    def decide(strategy: Any, good: Any, total: Any) -> None:
        first = strategy.experimental_local_results(good)[0]
        tf.cond(first, lambda: strategy.extended.call_for_each_replica(step, args=(total,)), pass_over)

    context.merge_call(decide, args=(is_good(total), total))
