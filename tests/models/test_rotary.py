"""Rotary positions by complex numbers, and what follows from them."""

import numpy as np
import pytest

from vit_train.config.compose import load_config
from vit_train.errors import ConfigError

pytestmark = pytest.mark.usefixtures("eagerly")


def turned(x_BNHK, side, prefix):
    """The same rotations of complex numbers, token by token."""
    quarter, found = x_BNHK.shape[-1] // 4, x_BNHK.astype(complex)
    for row in range(side):
        for column in range(side):
            place = [2 * np.pi * ((2 * at + 1) / side - 1) for at in (row, column)]
            angles = np.concatenate([[at / 100 ** (k / quarter) for k in range(quarter)] for at in place])
            token = x_BNHK[:, prefix + row * side + column]
            pairs = (token[..., : 2 * quarter] + 1j * token[..., 2 * quarter :]) * np.exp(1j * angles)
            found[:, prefix + row * side + column] = np.concatenate([pairs.real, pairs.imag], axis=-1)
    return found.real


@pytest.mark.parametrize("prefix", [0, 2])
def test_pairs_are_turned_by_their_places(prefix):
    from vit_train.models.rotary import rotate

    x_BNHK = np.random.default_rng(0).normal(size=(2, prefix + 9, 3, 8)).astype("float32")
    expected = turned(x_BNHK, 3, prefix)
    np.testing.assert_allclose(rotate(x_BNHK, prefix, 1), expected, atol=1e-5)
    heads_first = rotate(x_BNHK.transpose(0, 2, 1, 3), prefix, 2)
    np.testing.assert_allclose(heads_first, expected.transpose(0, 2, 1, 3), atol=1e-5)


def test_scores_follow_from_how_far_apart_tokens_are():
    from vit_train.models.rotary import rotate

    query, key = (np.random.default_rng(seed).normal(size=8).astype("float32") for seed in (0, 1))
    q, k = (np.asarray(rotate(np.tile(each, (1, 25, 1)), 0, 1))[0].reshape(5, 5, 8) for each in (query, key))
    for rows, columns in ((1, 0), (2, 3)):
        scores = np.einsum("rck,rck->rc", q[: 5 - rows, : 5 - columns], k[rows:, columns:])
        np.testing.assert_allclose(scores, scores[0, 0], atol=1e-4)
    assert np.ptp(np.einsum("rck,k->rc", q, k[0, 0])) > 0.1


@pytest.mark.parametrize("options", [{"rotary": True}, {"qk_norm": True}, {"rotary": True, "qk_norm": True}])
@pytest.mark.parametrize("key_dim", [4, 16])
def test_training_at_once_is_attention_by_its_formula(options, key_dim):
    """[B, N, D] = [2, 5, 12], of which one token has no place; heads wider than a token go Keras' way."""
    from vit_train.models.self_attention import SelfAttention

    layer, random = SelfAttention(2, key_dim, prefix_tokens=1, **options), np.random.default_rng(0)
    x = random.normal(size=(2, 5, 12)).astype("float32")
    layer.build(x.shape)
    for variable in layer.weights:
        variable.assign(random.normal(size=variable.shape) / 2 + ("gamma" in variable.path))
    parts = layer.query_dense, layer.key_dense, layer.value_dense
    q, k, v = (np.einsum("bnd,dhk->bnhk", x, part.kernel) + np.asarray(part.bias) for part in parts)
    if options.get("qk_norm"):
        q, k = (normed(each, norm) for each, norm in zip((q, k), layer.norms, strict=True))
    if options.get("rotary"):
        q, k = (turned(each, 2, 1) for each in (q, k))
    scores = np.exp(np.einsum("bnhk,bmhk->bhnm", q, k) / key_dim**0.5)
    gathered = np.einsum("bhnm,bmhk->bnhk", scores / scores.sum(-1, keepdims=True), v)
    expected = np.einsum("bnhk,hkd->bnd", gathered, layer.output_dense.kernel) + np.asarray(layer.output_dense.bias)
    for training in (True, False):
        np.testing.assert_allclose(layer(x, training=training), expected, rtol=1e-4, atol=1e-4)


def normed(x, norm):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + norm.epsilon)
    return x * np.asarray(norm.gamma) + np.asarray(norm.beta)


def test_heads_that_have_no_four_parts_are_refused():
    with pytest.raises(
        ConfigError, match=r"^model.position_embedding=rope: turns heads of a multiple of 4, and theirs is 6"
    ):
        load_config(["model.position_embedding=rope", "model.key_dim=6"])
