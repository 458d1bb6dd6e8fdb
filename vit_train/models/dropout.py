"""Dropout with half the random bits."""

from typing import Any

import keras
from keras import ops

_BITS = 16


@keras.saving.register_keras_serializable(package="vit_train")
class Dropout(keras.layers.Dropout):
    """Keras' layer with 16 random bits for each value instead of 32: making them is most of its work.

    The share that is dropped is `rate` rounded to a multiple of 1/65,536.
    """

    def call(self, x: Any, training: bool = False) -> Any:
        if not training or self.rate == 0 or keras.config.backend() == "torch":
            return super().call(x, training=training)
        dropped = _random_bits(ops.shape(x), self.seed_generator.next()) < round(self.rate * 2**_BITS)
        return x * ops.where(dropped, ops.cast(0, x.dtype), ops.cast(1 / (1 - self.rate), x.dtype))


def _random_bits(shape: Any, seed: Any) -> Any:
    """uint16 of this shape, all values as likely."""
    if keras.config.backend() == "jax":
        import jax

        return jax.random.bits(seed, shape, "uint16")
    import tensorflow as tf

    # Several devices share one seed, and shall not drop the same in their parts of a batch.
    context = tf.distribute.get_replica_context()
    replica = context.replica_id_in_sync_group if context else 0
    seed = tf.cast(seed, "int32") + tf.stack([0, replica])
    *rows, last = shape
    pairs = (last + 1) // 2
    words = tf.random.stateless_uniform((*rows, pairs), seed, None, None, "uint32")
    bits = tf.reshape(tf.bitcast(words, "uint16"), (*rows, 2 * pairs))
    return bits[..., :last] if last % 2 else bits
