"""Batch normalisation by TensorFlow's fused operation."""

import math
from typing import Any

import keras
from keras import ops

from vit_train.machine import kernels


@keras.saving.register_keras_serializable(package="vit_train")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer with the same arguments and weights and, but for rounding, the same results.

    In training on TensorFlow, images [B, H, W, C] of float32 go through one operation in each pass, where Keras' layer
    takes ten; for all else it is Keras' layer.
    """

    def call(self, x_BHWC: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not (training and self.trainable and mask is None and self.fuses(x_BHWC)):
            return super().call(x_BHWC, training=training, mask=mask)
        import tensorflow as tf

        y_BHWC, mean_C, variance_C = tf.compat.v1.nn.fused_batch_norm(
            x_BHWC, ops.copy(self.gamma), ops.copy(self.beta), epsilon=self.epsilon, is_training=True
        )
        count = ops.cast(tf.size(x_BHWC) // x_BHWC.shape[-1], "float32")
        # Keras keeps the variance of the batch itself, the operation gives the estimate of where it was drawn from.
        for kept, new in ((self.moving_mean, mean_C), (self.moving_variance, variance_C * (count - 1) / count)):
            kept.assign(kept * self.momentum + new * (1 - self.momentum))
        return y_BHWC

    def fuses(self, x_BHWC: Any) -> bool:
        """Whether the fused operation computes what these arguments and this input ask for."""
        rank = len(x_BHWC.shape)
        whole = self.scale and self.center and not self.synchronized and self.axis in (-1, rank - 1)
        single = {self.variable_dtype, keras.backend.standardize_dtype(x_BHWC.dtype)} == {"float32"}
        fused = kernels.fused() and keras.config.backend() == "tensorflow"
        return bool(fused and whole and single and rank == 4 and math.prod(x_BHWC.shape[1:3]) > 1)
