"""Which rows of each batch are made here, where several devices or processes train one model."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Part:
    """The part of process number `process` of `processes`, which have `devices` together; by default all of a batch.

    For several devices a batch is filled up to a multiple of them with copies of its last example. It is (inputs,
    targets, weights) then, weights float32 [B]: 0 for the copies, and for the others such that the mean over all rows
    is the mean over them. Each process has as many rows.
    """

    devices: int = 1
    process: int = 0
    processes: int = 1

    def take(self, rows: Any, count: tf.Tensor) -> Any:
        """Of tensors of any structure, each with `count` rows or none at all, the rows that are made here."""
        if self.devices == 1:
            return rows
        places = tf.minimum(self._places(count), count - 1)
        return tf.nest.map_structure(lambda each: tf.gather(each, places) if each.shape.rank else each, rows)

    def weighted(self, batch: tuple[Any, Any], count: tf.Tensor) -> tuple[Any, ...]:
        """(inputs, targets) of these rows with their weights; with one device just as they are."""
        if self.devices == 1:
            return batch
        weight = tf.cast(self._filled_up(count) / count, tf.float32)
        return *batch, tf.where(self._places(count) < count, weight, 0.0)

    def _filled_up(self, count: tf.Tensor) -> tf.Tensor:
        return -(-count // self.devices) * self.devices

    def _places(self, count: tf.Tensor) -> tf.Tensor:
        rows = self._filled_up(count) // self.processes
        return tf.range(rows) + self.process * rows


WHOLE = Part()
