"""The linear recurrence that the matrix-multiplication-free model has in place of attention, as a scan in blocks.

Shape suffixes: B batch, N tokens, D width of a token.
"""

import math
from typing import Any

from keras import ops


@ops.custom_gradient  # type: ignore[untyped-decorator]
def linear_recurrence(f_BND: Any, x_BND: Any) -> Any:
    """h[t] = f[t] * h[t - 1] + x[t] over the tokens, with h[-1] = 0; all are float tensors [B, N, D].

    The gradient is the same recurrence from the last token to the first: with g the gradient of h, the gradient of x is
    l[t] = g[t] + f[t + 1] * l[t + 1], and that of f is l[t] * h[t - 1].
    """
    h_BND = _scan(f_BND, x_BND)
    nothing = ops.zeros_like(f_BND[:, :1])

    def gradient(*gradients: Any, upstream: Any = None) -> tuple[Any, Any]:
        g_BND = gradients[0] if upstream is None else upstream
        following = ops.concatenate([f_BND[:, 1:], nothing], axis=1)
        l_BND = ops.flip(_scan(ops.flip(following, 1), ops.flip(g_BND, 1)), 1)
        return l_BND * ops.concatenate([nothing, h_BND[:, :-1]], axis=1), l_BND

    return h_BND, gradient


def _scan(f_BND: Any, x_BND: Any) -> Any:
    """The recurrence in about 2 * sqrt(N) steps: through all blocks of tokens at once, then from block to block.

    The pairs (f, x) compose associatively, (f2, x2) after (f1, x1) being (f2 * f1, f2 * x1 + x2), so a block is such a
    pair, too. `keras.ops.associative_scan` halves the sequence again and again instead; on TensorFlow its slices
    take ten times as long.
    """
    _, tokens, width = f_BND.shape
    length = next(n for n in range(math.isqrt(tokens), 0, -1) if tokens % n == 0)
    blocks = (-1, tokens // length, length, width)
    f, x = (ops.unstack(ops.reshape(a, blocks), axis=2) for a in (f_BND, x_BND))
    decay, state = [f[0]], [x[0]]
    for f_t, x_t in zip(f[1:], x[1:], strict=True):
        decay.append(f_t * decay[-1])
        state.append(f_t * state[-1] + x_t)
    before = [ops.zeros_like(state[-1][:, 0])]  # the state that enters each block
    for f_b, x_b in zip(ops.unstack(decay[-1], axis=1)[:-1], ops.unstack(state[-1], axis=1)[:-1], strict=True):
        before.append(f_b * before[-1] + x_b)
    entering = ops.stack(before, axis=1)
    h = ops.stack([x_t + f_t * entering for f_t, x_t in zip(decay, state, strict=True)], axis=2)
    return ops.reshape(h, (-1, tokens, width))
