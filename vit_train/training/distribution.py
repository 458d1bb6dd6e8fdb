"""One model trained on several devices: each holds all of it and takes its part of every batch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import keras

from vit_train.config.schema import Config
from vit_train.data.parts import WHOLE, Part
from vit_train.errors import ConfigError
from vit_train.machine import cluster
from vit_train.machine.backend import device_name
from vit_train.machine.streams import stderr_held_back


class Devices:
    """What trains a run: all devices that the backend finds with compute.devices=all or cluster, and else one.

    `part` is what this process makes of each batch. Raises ConfigError if a batch, or the model on TensorFlow, cannot
    be split to them.
    """

    def __init__(self, config: Config) -> None:
        self.name, self.count, self.part = device_name(), 1, WHOLE
        self._distribution: Any = None
        if config.compute.splits:
            names = keras.distribution.list_devices()
            self.name, self.count = f"{len(names)} x {self.name} ({', '.join(names)})", len(names)
            if self.count > 1:
                _require_shareable(config, self.count)
                self._distribution = _distribution(config.compute.backend, tuple(names))
                self.part = Part(self.count, *cluster.place())

    def alone(self, network: keras.Model) -> keras.Model:
        """The trained network for this process alone; the other processes, if there are any, are let go."""
        if not cluster.joined():
            return network
        cluster.part()
        copy = keras.models.clone_model(network)
        copy.set_weights(network.get_weights())
        copy.get_layer("normalization").finalize_state()
        return copy

    def scope(self) -> AbstractContextManager[Any]:
        """Where a model must be built, compiled, trained and evaluated."""
        return self._distribution.scope() if self._distribution else nullcontext()


def _require_shareable(config: Config, count: int) -> None:
    size, devices = config.train.batch_size, f"compute.devices={config.compute.devices}"
    if size % count:
        below, above = size // count * count, -(-size // count) * count
        raise ConfigError(
            f"train.batch_size={size}: cannot be split evenly to the {count} devices of {devices}; "
            f"use {f'{below} or ' if below else ''}{above}"
        )
    if config.model.batch_statistics and config.compute.backend == "tensorflow":
        raise ConfigError(
            f"{devices}: on TensorFlow each of {count} devices would normalise its own part of a batch of "
            f"model={config.model.name}; use compute.backend=jax, or compute.devices=auto"
        )


@cache
def _distribution(backend: str, names: tuple[str, ...]) -> Any:
    # Kept, as a second MirroredStrategy of a process would take the numbers of the first one's collective operations.
    if backend == "jax":
        return keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)  # each makes its own part
    import tensorflow as tf

    with stderr_held_back():  # on a CPU it notes that NCCL is for GPUs
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
