"""Multi-head attention of a sequence with itself, in fewer operations.

Shape suffixes: B batch, N tokens, M a query for each token and head, H heads, K width of a head, D and E of a token.
"""

from typing import Any

import keras
from keras import ops

from vit_train.models.dropout import Dropout


@keras.saving.register_keras_serializable(package="vit_train")
class SelfAttention(keras.layers.MultiHeadAttention):
    """Keras' layer of the same weights and, but for rounding, the same results: [B, N, D] -> [B, N, D].

    Where a head is at least as wide as a token, as in the keras.io example, keys and values need not be made. With the
    kernels of a head, (x Wq)(x Wk)' = x (Wq Wk') x' and P (x Wv) Wo = (P x)(Wv Wo): products of two small kernels take
    the place of two projections of all tokens, and no head has to be brought in front of the tokens. The bias of the
    keys adds the same to all scores of a query, which softmax does not see.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape, input_shape)
        del self._dropout_layer  # or its seed would be kept with the weights
        self._dropout_layer: keras.Layer = Dropout(self.dropout, dtype=self.dtype_policy, seed=self.seed)

    def call(self, x_BND: Any, training: bool | None = None, return_attention_scores: bool = False) -> Any:
        if return_attention_scores or self.key_dim < x_BND.shape[-1]:
            return super().call(x_BND, x_BND, training=training, return_attention_scores=return_attention_scores)
        _, tokens, width = x_BND.shape
        kernel_DHD, bias_HD = self._scores()
        queries = ops.matmul(x_BND, ops.reshape(kernel_DHD, (width, -1))) + ops.reshape(bias_HD, (-1,))
        queries_BMD = ops.reshape(queries, (-1, tokens * self.num_heads, width))
        weights_BMN = ops.softmax(ops.einsum("bmd,bnd->bmn", queries_BMD, x_BND))
        weights_BMN = self._dropout_layer(weights_BMN, training=training)
        context_BMD = ops.matmul(weights_BMN, x_BND)
        kernel_HDE, bias_HE = self._outputs()
        y = ops.matmul(
            ops.reshape(context_BMD, (-1, tokens, self.num_heads * width)), ops.reshape(kernel_HDE, (-1, width))
        )
        # Dropout leaves weights that do not add up to 1.
        sums_BNH = ops.reshape(ops.sum(weights_BMN, axis=-1), (-1, tokens, self.num_heads))
        return y + ops.matmul(sums_BNH, bias_HE) + self._output_dense.bias

    def _scores(self) -> tuple[Any, Any]:
        """[D, H, D] and [H, D] that make of a token what its scores with all tokens are taken with."""
        query, key = self._query_dense, self._key_dense
        scale = self.key_dim**-0.5
        kernel = ops.einsum("dhk,ehk->dhe", query.kernel, key.kernel)
        bias = ops.einsum("hk,ehk->he", query.bias, key.kernel)
        # A gradient of 0 for the bias of the keys: an optimizer would miss one that is absent.
        return kernel * scale, bias * scale + 0 * ops.sum(key.bias)

    def _outputs(self) -> tuple[Any, Any]:
        """[H, D, E] and [H, E] that make the output of the tokens that a head has gathered."""
        value, output = self._value_dense, self._output_dense
        kernel = ops.einsum("dhk,hke->hde", value.kernel, output.kernel)
        return kernel, ops.einsum("hk,hke->he", value.bias, output.kernel)
