"""Layer normalisation that goes over its tokens once in the forward pass, and once in the backward pass.

Shape suffixes: B batch, N tokens, T all tokens of a batch, D width of a token.
"""

from typing import Any

import keras
from keras import ops

from vit_train.machine import kernels
from vit_train.models.fused import fused


@keras.saving.register_keras_serializable(package="vit_train")
class LayerNorm(keras.layers.LayerNormalization):
    """Keras' layer with the same arguments and weights and, but for rounding, the same results.

    Over the last axis, with gamma and beta, of any rank, it is fused; for any other arguments it is Keras' layer.
    """

    def call(self, x_BND: Any, training: bool | None = None) -> Any:
        # A model that is exported consists of Keras' operations alone, which every format knows.
        if not (training and self.fuses(x_BND)):
            return super().call(x_BND)

        def normalized(x_TD: Any, gamma_D: Any, beta_D: Any) -> Any:
            y_TD, mean_T1, scale_T1 = _normalize(x_TD, gamma_D, beta_D, self.epsilon)
            return y_TD, lambda dy_TD: _gradients(x_TD, dy_TD, gamma_D, mean_T1, scale_T1)

        # As a matrix, since XLA sums over one axis faster than over two.
        x_TD = ops.reshape(x_BND, (-1, x_BND.shape[-1]))
        # Tensors, as TensorFlow's custom gradients take no variables.
        y_TD = ops.custom_gradient(normalized)(x_TD, ops.copy(self.gamma), ops.copy(self.beta))
        return ops.cast(ops.reshape(y_TD, ops.shape(x_BND)), self.compute_dtype)

    def fuses(self, x_BND: Any) -> bool:
        """Whether the fused operations below compute what these arguments and this input ask for."""
        if not kernels.fused() or keras.config.backend() == "torch":
            return False
        rank = len(x_BND.shape)
        learned = self.scale and self.center and not self.rms_scaling and self.variable_dtype == "float32"
        single = keras.backend.standardize_dtype(x_BND.dtype) in ("float32", "bfloat16", "float16")
        return bool(learned and single and rank > 1 and self.axis in ([-1], [rank - 1]))


@fused
def _normalize(x_TD: Any, gamma_D: Any, beta_D: Any, epsilon: float) -> tuple[Any, Any, Any]:
    z_TD = ops.cast(x_TD, "float32")
    mean_T1 = ops.mean(z_TD, axis=-1, keepdims=True)
    z_TD -= mean_T1
    scale_T1 = ops.rsqrt(ops.mean(ops.square(z_TD), axis=-1, keepdims=True) + epsilon)
    return ops.cast(z_TD * scale_T1 * gamma_D + beta_D, x_TD.dtype), mean_T1, scale_T1


@fused
def _gradients(x_TD: Any, dy_TD: Any, gamma_D: Any, mean_T1: Any, scale_T1: Any) -> tuple[Any, Any, Any]:
    """Of x, gamma and beta (arXiv 1607.06450)."""
    dy_TD, dtype = ops.cast(dy_TD, "float32"), x_TD.dtype
    z_TD = (ops.cast(x_TD, "float32") - mean_T1) * scale_T1
    dz_TD = dy_TD * gamma_D
    along_T1 = ops.mean(dz_TD * z_TD, axis=-1, keepdims=True)
    dx_TD = (dz_TD - ops.mean(dz_TD, axis=-1, keepdims=True) - z_TD * along_T1) * scale_T1
    return ops.cast(dx_TD, dtype), ops.sum(dy_TD * z_TD, axis=0), ops.sum(dy_TD, axis=0)
