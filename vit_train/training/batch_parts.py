"""A batch in several parts that the cores of a processor compute at the same time: `compute.batch_parts`."""

import itertools
from typing import Any

import keras
from keras import ops


class InParts(keras.Model):
    """A mixin before a model of layers, which computes each of `batch_parts` parts of a batch by itself.

    Nothing in the graph connects the parts before the loss, nor their gradients before they are added up, so TensorFlow
    works on all of them at once. Most operations of a small model are too short to be shared among cores one by one.
    """

    batch_parts = 1

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The logits [B, K] of the whole batch. Batch normalisation looks at a part in training."""
        if self.batch_parts == 1:
            return super().call(inputs, training=training, mask=mask)
        count = ops.shape(keras.tree.flatten(inputs)[0])[0]
        ends = [count * part // self.batch_parts for part in range(self.batch_parts + 1)]
        logits = []
        for begin, end in itertools.pairwise(ends):
            # A part of no image takes one whose logits are dropped: Keras' convolutions return an empty batch as it is.
            filled = end + 1 // (end - begin + 1)
            part = keras.tree.map_structure(lambda each, begin=begin, end=filled: each[begin:end], inputs)
            logits.append(super().call(part, training=training)[: end - begin])
        return ops.concatenate(logits)
