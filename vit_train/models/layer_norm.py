"""Layer normalisation that goes over its tokens once in the forward pass, and once in the backward pass."""

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

        def normalized(x_BND: Any, gamma_D: Any, beta_D: Any) -> Any:
            y_BND, mean_BN1, scale_BN1 = _normalize(x_BND, gamma_D, beta_D, self.epsilon)
            return y_BND, lambda dy_BND: _gradients(x_BND, dy_BND, gamma_D, mean_BN1, scale_BN1)

        # Tensors, as TensorFlow's custom gradients take no variables.
        y_BND = ops.custom_gradient(normalized)(x_BND, ops.copy(self.gamma), ops.copy(self.beta))
        return ops.cast(y_BND, self.compute_dtype)

    def fuses(self, x_BND: Any) -> bool:
        """Whether the fused operations below compute what these arguments and this input ask for."""
        if not kernels.fused() or keras.config.backend() == "torch":
            return False
        rank = len(x_BND.shape)
        learned = self.scale and self.center and not self.rms_scaling and self.variable_dtype == "float32"
        single = keras.backend.standardize_dtype(x_BND.dtype) in ("float32", "bfloat16", "float16")
        return bool(learned and single and rank > 1 and self.axis in ([-1], [rank - 1]))


@fused
def _normalize(x_BND: Any, gamma_D: Any, beta_D: Any, epsilon: float) -> tuple[Any, Any, Any]:
    z_BND = ops.cast(x_BND, "float32")
    mean_BN1 = ops.mean(z_BND, axis=-1, keepdims=True)
    z_BND -= mean_BN1
    scale_BN1 = ops.rsqrt(ops.mean(ops.square(z_BND), axis=-1, keepdims=True) + epsilon)
    return ops.cast(z_BND * scale_BN1 * gamma_D + beta_D, x_BND.dtype), mean_BN1, scale_BN1


@fused
def _gradients(x_BND: Any, dy_BND: Any, gamma_D: Any, mean_BN1: Any, scale_BN1: Any) -> tuple[Any, Any, Any]:
    """Of x, gamma and beta (arXiv 1607.06450); all axes but the last are of examples and tokens."""
    dy_BND, dtype = ops.cast(dy_BND, "float32"), x_BND.dtype
    z_BND = (ops.cast(x_BND, "float32") - mean_BN1) * scale_BN1
    dz_BND = dy_BND * gamma_D
    along_BN1 = ops.mean(dz_BND * z_BND, axis=-1, keepdims=True)
    dx_BND = (dz_BND - ops.mean(dz_BND, axis=-1, keepdims=True) - z_BND * along_BN1) * scale_BN1
    tokens = tuple(range(len(x_BND.shape) - 1))
    return ops.cast(dx_BND, dtype), ops.sum(dy_BND * z_BND, axis=tokens), ops.sum(dy_BND, axis=tokens)
