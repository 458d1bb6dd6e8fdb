import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def step_by_step(f, x):
    h, state = [], np.zeros_like(x[:, 0])
    for t in range(x.shape[1]):
        state = f[:, t] * state + x[:, t]
        h.append(state)
    return np.stack(h, axis=1)


@pytest.mark.parametrize("tokens", [1, 2, 7, 12, 16])
def test_it_is_the_recurrence_and_its_gradient(tokens):
    """Values against a loop; gradients against differences of that loop, in float64."""
    import tensorflow as tf

    from vit_train.models.recurrence import linear_recurrence

    random = np.random.default_rng(tokens)
    f, x, g = random.uniform(0, 1, (2, tokens, 3)), *random.normal(size=(2, 2, tokens, 3))
    with tf.GradientTape() as tape:
        a, b = tf.constant(f), tf.constant(x)
        tape.watch((a, b))
        h = linear_recurrence(a, b)
        value = tf.reduce_sum(h * g)
    np.testing.assert_allclose(h, step_by_step(f, x), atol=1e-12)
    of_f, of_x = tape.gradient(value, (a, b))
    for gradient, which in ((of_f, 0), (of_x, 1)):
        for place in [(0, 0, 0), (1, tokens // 2, 1), (0, tokens - 1, 2)]:
            change = np.zeros_like(f)
            change[place] = 1e-6
            up, down = ([f + sign * change, x] if which == 0 else [f, x + sign * change] for sign in (1, -1))
            difference = (step_by_step(*up) - step_by_step(*down)) / 2e-6
            assert gradient.numpy()[place] == pytest.approx((difference * g).sum(), rel=1e-6, abs=1e-8)
