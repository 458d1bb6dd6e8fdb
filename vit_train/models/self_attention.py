"""Multi-head attention of a sequence with itself, in fewer operations.

Shape suffixes: B batch, N tokens, M a query for each token and head, H heads, K width of a head, D and E of a token.
"""

from typing import Any

import keras
from keras import ops

from vit_train.machine import kernels
from vit_train.models.dropout import Dropout, drop, kept
from vit_train.models.fused import fused
from vit_train.models.layer_norm import LayerNorm
from vit_train.models.rotary import rotate

# Arguments of Keras' layer for which the layer below is Keras' layer. `activity_regularizer` belongs to projections.
_NOT_FUSED = ("output_shape", "attention_axes", "sliding_window", "use_gate", "activity_regularizer")


@keras.saving.register_keras_serializable(package="vit_train")
class SelfAttention(keras.layers.MultiHeadAttention):
    """Keras' layer of the same weights and, but for rounding, the same results: [B, N, D] -> [B, N, D].

    Where a head is at least as wide as a token, as in the keras.io example, keys and values need not be made. With the
    kernels of a head, (x Wq)(x Wk)' = x (Wq Wk') x' and P (x Wv) Wo = (P x)(Wv Wo): products of two small kernels take
    the place of two projections of all tokens, and no head has to be brought in front of the tokens. The bias of the
    keys adds the same to all scores of a query, which softmax does not see.

    It takes the arguments of Keras' layer by name, and does as that layer does for those that the products above leave
    out. A mask of the tokens is heeded; `attention_mask` and `use_causal_mask` are no arguments of a call.

    Of its own are `rotary`, with which queries and keys are turned by the places of their tokens in a square grid, of
    which the first `prefix_tokens` are no part (`rotary.rotate`), and `qk_norm`, with which they are normalised in each
    head before that (ViT-22B, arXiv 2302.05442), with `epsilon`.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        *,
        rotary: bool = False,
        qk_norm: bool = False,
        prefix_tokens: int = 0,
        epsilon: float = 1e-6,
        **options: Any,
    ) -> None:
        super().__init__(num_heads, key_dim, **options)
        flash = options.get("flash_attention") or keras.config.is_flash_attention_enabled()
        self.plain = self.use_bias and not flash and not any(options.get(option) for option in _NOT_FUSED)
        self.rotary, self.prefix_tokens, self.epsilon = rotary, prefix_tokens, epsilon
        names = ("query_norm", "key_norm") if qk_norm else ()
        self.norms = [LayerNorm(epsilon=epsilon, name=name, dtype=self.dtype_policy) for name in names]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape, input_shape)
        for norm in self.norms:
            norm.build((None, None, self.num_heads, self.key_dim))
        del self._dropout_layer  # or its seed would be kept with the weights
        self._dropout_layer: Dropout = Dropout(self.dropout, dtype=self.dtype_policy, seed=self.seed)

    def call(
        self, x_BND: Any, training: bool | None = None, return_attention_scores: bool = False, mask: Any = None
    ) -> Any:
        if training and not return_attention_scores and mask is None and self.projects_at_once(x_BND):
            return self._at_once(x_BND)
        if return_attention_scores or mask is not None or not self.fuses(x_BND):
            options = {"training": training, "return_attention_scores": return_attention_scores}
            return super().call(x_BND, x_BND, value_mask=mask, **options)
        _, tokens, width = x_BND.shape
        kernel_DHD, bias_HD = self._scores()
        queries = ops.matmul(x_BND, ops.reshape(kernel_DHD, (width, -1))) + ops.reshape(bias_HD, (-1,))
        queries_BMD = ops.reshape(queries, (-1, tokens * self.num_heads, width))
        if self._dropout_layer.drops(x_BND, training):
            context_BMD, sums_BM = attend(queries_BMD, x_BND, self.dropout, self._dropout_layer.next_seed())
        else:
            weights_BMN = ops.softmax(ops.einsum("bmd,bnd->bmn", queries_BMD, x_BND))
            weights_BMN = self._dropout_layer(weights_BMN, training=training)
            context_BMD, sums_BM = ops.matmul(weights_BMN, x_BND), ops.sum(weights_BMN, axis=-1)
        kernel_HDE, bias_HE = self._outputs()
        y = ops.matmul(
            ops.reshape(context_BMD, (-1, tokens, self.num_heads * width)), ops.reshape(kernel_HDE, (-1, width))
        )
        # Dropout leaves weights that do not add up to 1.
        sums_BNH = ops.reshape(sums_BM, (-1, tokens, self.num_heads))
        return y + ops.matmul(sums_BNH, bias_HE) + self.output_dense.bias

    def fuses(self, x_BND: Any) -> bool:
        """Whether the products of small kernels give what these arguments ask for, and in fewer operations."""
        if not (kernels.fused() and self.plain and len(x_BND.shape) == 3):
            return False
        _, tokens, width = x_BND.shape
        return tokens is not None and min(self.key_dim, self.value_dim) >= width and not (self.rotary or self.norms)

    def projects_at_once(self, x_BND: Any) -> bool:
        """Whether heads are narrow and nothing is dropped, so that one product may make queries, keys and values."""
        if not (kernels.fused() and self.plain and len(x_BND.shape) == 3) or self.dropout > 0:
            return False
        _, tokens, width = x_BND.shape
        return tokens is not None and self.key_dim == self.value_dim < width

    def _at_once(self, x_BND: Any) -> Any:
        """In training: one matrix product in place of three, and below float32 a softmax of one loop each way."""
        _, tokens, width = x_BND.shape
        heads, inner = (self.num_heads, self.key_dim), self.num_heads * self.key_dim
        parts = (self.query_dense, self.key_dense, self.value_dense)
        kernel = ops.concatenate([ops.reshape(part.kernel, (width, inner)) for part in parts], axis=1)
        bias = ops.concatenate([ops.reshape(part.bias, (inner,)) for part in parts], axis=0)
        projected = ops.matmul(ops.reshape(x_BND, (-1, width)), kernel) + bias
        split = ops.transpose(ops.reshape(projected, (-1, tokens, 3, *heads)), (2, 0, 3, 1, 4))
        q_BHNK, k_BHNK, v_BHNK = ops.unstack(split, 3, axis=0)
        q_BHNK, k_BHNK = self._placed(q_BHNK, k_BHNK, token_axis=2)
        scores_BHNN = ops.matmul(q_BHNK * self.key_dim**-0.5, ops.transpose(k_BHNK, (0, 1, 3, 2)))
        context_BHNK = ops.matmul(softmax(scores_BHNN), v_BHNK)
        context = ops.reshape(ops.transpose(context_BHNK, (0, 2, 1, 3)), (-1, inner))
        y = ops.matmul(context, ops.reshape(self.output_dense.kernel, (inner, width))) + self.output_dense.bias
        return ops.reshape(y, (-1, tokens, width))

    def _compute_attention(self, query: Any, key: Any, value: Any, *arguments: Any, **options: Any) -> Any:
        """Keras' way, of [B, N, H, K] each."""
        query, key = self._placed(query, key, token_axis=1)
        return super()._compute_attention(query, key, value, *arguments, **options)

    def _placed(self, query: Any, key: Any, token_axis: int) -> tuple[Any, Any]:
        """Normalised and turned, as far as that is wanted."""
        if self.norms:
            query, key = (norm(each) for norm, each in zip(self.norms, (query, key), strict=True))
        if self.rotary:
            query, key = (rotate(each, self.prefix_tokens, token_axis) for each in (query, key))
        return query, key

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("rotary", "prefix_tokens", "epsilon")}
        return {**super().get_config(), **own, "qk_norm": bool(self.norms)}

    def compute_output_shape(self, input_shape: tuple[int | None, ...], *_: Any) -> Any:
        return super().compute_output_shape(input_shape, input_shape)

    def compute_output_spec(self, x_BND: Any, mask: Any = None, **options: Any) -> Any:
        return super().compute_output_spec(x_BND, x_BND, value_mask=mask, **options)

    def _scores(self) -> tuple[Any, Any]:
        """[D, H, D] and [H, D] that make of a token what its scores with all tokens are taken with."""
        query, key = self.query_dense, self.key_dense
        scale = self.key_dim**-0.5
        kernel = ops.einsum("dhk,ehk->dhe", query.kernel, key.kernel)
        bias = ops.einsum("hk,ehk->he", query.bias, key.kernel)
        # A gradient of 0 for the bias of the keys: an optimizer would miss one that is absent.
        return kernel * scale, bias * scale + 0 * ops.sum(key.bias)

    def _outputs(self) -> tuple[Any, Any]:
        """[H, D, E] and [H, E] that make the output of the tokens that a head has gathered."""
        value, output = self.value_dense, self.output_dense
        kernel = ops.einsum("dhk,hke->hde", value.kernel, output.kernel)
        return kernel, ops.einsum("hk,hke->he", value.bias, output.kernel)


def softmax(scores: Any) -> Any:
    """Softmax over the last axis, float32 inside."""
    if keras.backend.standardize_dtype(scores.dtype) == "float32":
        return ops.softmax(scores)  # on TensorFlow an operation of its own, and faster than XLA's loops

    def computed(scores: Any) -> Any:
        weights = _softmax(scores)
        return weights, lambda dy: _softmax_gradient(weights, dy)

    return ops.custom_gradient(computed)(scores)


@fused
def _softmax(scores: Any) -> Any:
    z = ops.cast(scores, "float32")
    z = ops.exp(z - ops.max(z, axis=-1, keepdims=True))
    return ops.cast(z / ops.sum(z, axis=-1, keepdims=True), scores.dtype)


@fused
def _softmax_gradient(weights: Any, dy: Any) -> Any:
    p, dy = ops.cast(weights, "float32"), ops.cast(dy, "float32")
    return ops.cast(p * (dy - ops.sum(p * dy, axis=-1, keepdims=True)), weights.dtype)


def attend(queries_BMD: Any, x_BND: Any, rate: float, seed: Any) -> tuple[Any, Any]:
    """Attention with dropout: what each query gathers [B, M, D], and what its weights add up to after dropout [B, M].

    In the backward pass, the weights after dropout are made again, and the sum over a row of the softmax's gradient is
    taken from what the row has gathered (FlashAttention, arXiv 2205.14135, appendix B.2).
    """

    def attended(queries_BMD: Any, x_BND: Any) -> Any:
        weights_BMN = ops.softmax(ops.einsum("bmd,bnd->bmn", queries_BMD, x_BND))
        dropped_BMN = drop(weights_BMN, rate, seed)
        context_BMD, sums_BM = ops.matmul(dropped_BMN, x_BND), ops.sum(dropped_BMN, axis=-1)

        def gradient(*upstream: Any) -> tuple[Any, Any]:
            d_context_BMD, d_sums_BM = keras.tree.flatten(upstream)  # TensorFlow passes two values, JAX a pair
            rows = [(d_context_BMD, context_BMD), (d_sums_BM, sums_BM)]
            d_dropped_BMN = ops.einsum("bmd,bnd->bmn", d_context_BMD, x_BND)
            d_scores_BMN = _score_gradients(weights_BMN, d_dropped_BMN, rows, rate, seed)
            d_x_BND = ops.einsum("bmn,bmd->bnd", d_scores_BMN, queries_BMD)
            d_x_BND += ops.einsum("bmn,bmd->bnd", drop(weights_BMN, rate, seed), d_context_BMD)
            return ops.matmul(d_scores_BMN, x_BND), d_x_BND

        return (context_BMD, sums_BM), gradient

    result: tuple[Any, Any] = ops.custom_gradient(attended)(queries_BMD, x_BND)
    return result


@fused
def _score_gradients(weights_BMN: Any, d_dropped_BMN: Any, rows: Any, rate: float, seed: Any) -> Any:
    """Gradients of the scores before softmax and dropout; `rows` are the results of each row with their gradients."""
    dtype = weights_BMN.dtype
    weights_BMN, d_dropped_BMN, rows = keras.tree.map_structure(
        lambda each: ops.cast(each, "float32"), (weights_BMN, d_dropped_BMN, rows)
    )
    (d_context_BMD, context_BMD), (d_sums_BM, sums_BM) = rows
    means_BM = ops.sum(d_context_BMD * context_BMD, axis=-1) + d_sums_BM * sums_BM
    d_weights_BMN = (d_dropped_BMN + d_sums_BM[..., None]) / (1 - rate)
    d_weights_BMN = ops.where(kept(weights_BMN, rate, seed), d_weights_BMN, 0.0)
    return ops.cast(weights_BMN * (d_weights_BMN - means_BM[..., None]), dtype)
