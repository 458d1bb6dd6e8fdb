"""Random numbers as a pure function of (seed, epoch, example), for a whole batch at once."""

import tensorflow as tf

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_SCRAMBLING_KEY = (0x3EC8F720, 0x02461E29)  # TensorFlow's, with which it makes key and counter of a seed

Words = tuple[tf.Tensor, ...]  # each uint32, of one shape


# Without XLA each of the 500 small operations would go through memory.
@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
def uniforms(seed: tf.Tensor, examples: tf.Tensor, count: int) -> tf.Tensor:
    """float32 [B, count] in [-1, 1): of each of `examples` (int64 [B]), for one seed (int64 []).

    Row i is tf.random.stateless_uniform([count], [seed, examples[i]], -1, 1), to the bit; so the first numbers are the
    same for every count. The generator is Philox 4x32-10: J. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2,
    3", 2011.
    """
    words = (*_halves(tf.broadcast_to(seed, tf.shape(examples))), *_halves(examples))
    zero = tf.zeros_like(words[0])
    key_0, key_1, counter_2, counter_3 = _philox(words, tuple(zero + _word(part) for part in _SCRAMBLING_KEY))
    blocks = tf.cast(tf.range(-(-count // 4)), tf.uint32)[None] + zero[:, None]
    column = tf.zeros_like(blocks)
    counter = (blocks, column, column + counter_2[:, None], column + counter_3[:, None])
    bits = tf.stack(_philox(counter, (column + key_0[:, None], column + key_1[:, None])), axis=2)
    bits = tf.reshape(bits, [-1, 4 * blocks.shape[1]])[:, :count]
    # 23 random bits are the mantissa of a number in [1, 2).
    number = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(bits, _word(0x7FFFFF)), _word(0x3F800000))
    return (tf.bitcast(number, tf.float32) - 1) * 2 - 1


def _philox(counter: Words, key: Words) -> Words:
    (c0, c1, c2, c3), (k0, k1) = counter, key
    xor = tf.bitwise.bitwise_xor
    for _ in range(10):
        low_0, high_0 = _product(c0, _MULTIPLIERS[0])
        low_1, high_1 = _product(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = xor(xor(high_1, c1), k0), low_1, xor(xor(high_0, c3), k1), low_0
        k0, k1 = k0 + _word(_KEY_STEPS[0]), k1 + _word(_KEY_STEPS[1])
    return c0, c1, c2, c3


def _product(a: tf.Tensor, b: int) -> Words:
    return _halves(tf.cast(a, tf.uint64) * tf.constant(b, tf.uint64))


def _halves(x: tf.Tensor) -> Words:
    """The lower and the upper 32 bits of 64."""
    x = tf.bitcast(x, tf.uint64)
    lower = tf.bitwise.bitwise_and(x, tf.constant(0xFFFFFFFF, tf.uint64))
    return tf.cast(lower, tf.uint32), tf.cast(tf.bitwise.right_shift(x, tf.constant(32, tf.uint64)), tf.uint32)


def _word(x: int) -> tf.Tensor:
    return tf.constant(x, tf.uint32)
