import math
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")

# tensorflow 2.15.1 with tensorflow-addons 0.23.0: AdamW(1e-3, weight_decay=1e-4), measured.
GRADIENTS = [[0.0, 0.0, 0.0], [0.1, -0.2, 0.3], [0.5, 0.5, -0.5]]
TENSORFLOW_ADDONS = [
    [0.99990, -1.99980, 0.49995],
    [0.9990558624, -1.9988558292, 0.4991558492],
    [0.9982168078, -1.9990355968, 0.4993579388],
]


def schedule(name="constant", peak=1e-3, warmup=0, total=100, final=1.0, initial=0.0, cooldown=0):
    from vit_train.training.schedule import Schedule

    return Schedule(name, peak, warmup, total, final, initial, cooldown)


def steps(optimizer, gradients, start=(1.0, -2.0, 0.5)):
    """The weights after each step."""
    import keras

    variable = keras.Variable(np.array(start, np.float32))
    path = []
    for gradient in gradients:
        optimizer.apply([np.array(gradient, np.float32)], [variable])
        path.append(np.asarray(variable).copy())
    return np.array(path)


def test_independent_decay_is_that_of_tensorflow_addons():
    from vit_train.training.optimizer import AdamW

    ours = steps(AdamW(schedule(), decay="independent", weight_decay=1e-4), GRADIENTS)
    np.testing.assert_allclose(ours, TENSORFLOW_ADDONS, rtol=2e-7)


GOLDEN = Path(__file__).parents[1] / "golden" / "adamw.npz"  # by `make parity`


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(case, name, marks=[pytest.mark.slow] * ((case, name) != ("scheduled", "kernel")))
        for case in ("constant", "strong", "scheduled")
        for name in ("vector", "matrix", "kernel")
    ],
)
def test_independent_decay_follows_tensorflow_addons_for_200_steps(case, name):
    """Step by step to two units in the last place of 1: ours rounds once where products and sums are one operation."""
    from vit_train.training.optimizer import AdamW

    optimizer = {
        "constant": lambda: AdamW(schedule(), decay="independent", weight_decay=1e-4),
        "strong": lambda: AdamW(schedule(peak=3e-2), decay="independent", weight_decay=2e-2, beta_1=0.8, beta_2=0.99),
        "scheduled": lambda: AdamW(
            schedule("cosine", peak=1e-2, warmup=20, total=200, final=0.1), decay="independent", weight_decay=5e-3
        ),
    }[case]()
    with np.load(GOLDEN) as golden:
        start, *path = golden[f"{case}/{name}"]
        ours = steps(optimizer, golden[f"gradients/{name}"], start)
    np.testing.assert_allclose(ours, path, rtol=1.2e-7, atol=2.4e-7)


def test_scaled_decay_is_that_of_keras():
    import keras

    from vit_train.training.optimizer import AdamW

    gradients = np.random.default_rng(0).normal(size=(30, 3))
    ours = steps(AdamW(schedule(), decay="scaled", weight_decay=0.1), gradients)
    np.testing.assert_array_equal(ours, steps(keras.optimizers.AdamW(1e-3, weight_decay=0.1), gradients))


def adamw_by_hand(gradients, rates, decays, start=(1.0, -2.0, 0.5)):
    """Loshchilov and Hutter's algorithm 2 in float64, with the decay before the step as both libraries have it."""
    w, m, v = np.array(start), np.zeros(3), np.zeros(3)
    for t, (gradient, rate, decay) in enumerate(zip(gradients, rates, decays, strict=True), 1):
        w = w - decay * w
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        # Keras and tensorflow-addons add epsilon to the root before its bias is taken out.
        w = w - rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
        yield w


@pytest.mark.parametrize("decay", ["independent", "scaled"])
def test_both_conventions_follow_the_schedule(decay):
    from vit_train.training.optimizer import AdamW

    moving = schedule("cosine", warmup=5, total=40, final=0.1)
    gradients = np.random.default_rng(1).normal(size=(40, 3))
    shares = [float(moving.multiplier(step)) for step in range(40)]
    decays = [0.01 * share * (1 if decay == "independent" else 1e-3) for share in shares]
    ours = steps(AdamW(moving, decay=decay, weight_decay=0.01), gradients)
    expected = np.array(list(adamw_by_hand(gradients, [1e-3 * share for share in shares], decays)))
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_constant():
    assert [float(schedule()(step)) for step in (0, 1, 10**6)] == pytest.approx([1e-3] * 3)


def test_warmup_rises_linearly_from_zero():
    rates = [float(schedule(warmup=10)(step)) for step in range(13)]
    assert rates == pytest.approx([step / 10 * 1e-3 for step in range(10)] + [1e-3] * 3)


def test_cosine_is_that_of_keras():
    import keras

    ours = schedule("cosine", warmup=20, total=100, final=0.25)
    theirs = keras.optimizers.schedules.CosineDecay(0.0, 80, alpha=0.25, warmup_target=1e-3, warmup_steps=20)
    for step in range(110):
        assert float(ours(step)) == pytest.approx(float(theirs(step)), abs=1e-9), step
    assert float(ours(100)) == pytest.approx(0.25e-3)


def test_linear_falls_by_the_same_in_each_step():
    ours = schedule("linear", warmup=4, total=20, final=0.1, initial=0.5)
    rise = [(0.5 + 0.5 * step / 4) * 1e-3 for step in range(4)]
    fall = [(0.1 + 0.9 * (20 - step) / 16) * 1e-3 for step in range(4, 21)]
    assert [float(ours(step)) for step in range(21)] == pytest.approx(rise + fall)


def test_trapezoid_stays_and_cools_down_at_the_end():
    ours = schedule("trapezoid", warmup=4, total=20, final=0.2, cooldown=5)
    shares = [step / 4 for step in range(4)] + [1] * 11 + [0.2 + 0.8 * left / 5 for left in (5, 4, 3, 2, 1, 0)]
    assert [float(ours(step)) for step in range(21)] == pytest.approx([share * 1e-3 for share in shares])


def test_one_cycle_is_two_half_cosines():
    """PyTorch's OneCycleLR: initial_lr = max_lr / 25, min_lr = initial_lr / 1e4, cosine annealing between the three."""
    ours = schedule("one_cycle", peak=0.5, warmup=6, total=20, final=4e-6, initial=0.04)

    def annealed(start, end, part):
        return end + (start - end) / 2 * (1 + math.cos(math.pi * part))

    rise = [annealed(0.02, 0.5, step / 6) for step in range(6)]
    fall = [annealed(0.5, 2e-6, step / 14) for step in range(15)]
    assert [float(ours(step)) for step in range(21)] == pytest.approx(rise + fall, rel=1e-5, abs=1e-8)


def test_lion_steps_by_the_sign():
    """Chen et al., arXiv 2302.06675, program 1, in float64; the decay comes before the step."""
    from vit_train.training.optimizer import Lion

    gradients = np.random.default_rng(3).normal(size=(50, 3))
    ours = steps(Lion(schedule(peak=0.01), decay="scaled", weight_decay=0.2, beta_1=0.9, beta_2=0.99), gradients)
    w, m = np.array((1.0, -2.0, 0.5)), np.zeros(3)
    for step, gradient in enumerate(gradients):
        w = w - 0.01 * 0.2 * w - 0.01 * np.sign(0.9 * m + 0.1 * gradient)
        m = 0.99 * m + 0.01 * gradient
        np.testing.assert_allclose(ours[step], w, atol=1e-5)


def test_schedule_and_optimizer_are_saved_whole():
    import keras

    from vit_train.training.optimizer import AdamW

    optimizer = AdamW(schedule("cosine", warmup=2, total=9, final=0.5), decay="independent", weight_decay=0.3)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert (copy.decay, copy.weight_decay) == ("independent", 0.3)
    assert [float(copy._learning_rate(s)) for s in range(9)] == [float(optimizer._learning_rate(s)) for s in range(9)]


@pytest.fixture
def network():
    import keras

    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, name="first")(inputs)
    return keras.Model(
        inputs, keras.layers.Dense(2, name="second")(keras.layers.LayerNormalization(name="norm")(hidden))
    )


def test_patterns_keep_variables_from_decay(tiny, network):
    from vit_train.training.optimizer import build_optimizer

    config = tiny(
        "optimizer.groups=[{match:bias|norm,decay:0},{match:'^second/',decay:0}]", "optimizer.weight_decay=0.1"
    )
    optimizer = build_optimizer(config, network, steps_per_epoch=2)
    for layer in network.layers[1:]:
        layer.set_weights([np.ones_like(weight) for weight in layer.get_weights()])
    variables = network.trainable_variables
    optimizer.apply([np.zeros(variable.shape, np.float32) for variable in variables], variables)
    after = {variable.path: float(np.mean(np.asarray(variable))) for variable in variables}
    assert after.pop("first/kernel") == pytest.approx(0.9)
    assert set(after.values()) == {1.0}


def test_groups_multiply_and_later_ones_go_over_earlier_ones(tiny, network):
    from vit_train.training.groups import treatments

    groups = "{match:., learning_rate:0.5},{match:kernel,decay:2},{match:'^second/',learning_rate:1}"
    found = treatments(tiny(f"optimizer.groups=[{groups}]").optimizer, network)
    assert {each.variable.path: (each.learning_rate, each.decay) for each in found} == {
        "first/kernel": (0.5, 2),
        "first/bias": (0.5, 1),
        "norm/gamma": (0.5, 1),
        "norm/beta": (0.5, 1),
        "second/kernel": (1, 2),
        "second/bias": (1, 1),
    }


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_multiplier_acts_as_another_learning_rate_and_decay(tiny, network, name):
    """A variable with multipliers goes as one of an optimizer that has their products."""
    from vit_train.training.optimizer import build_optimizer

    def after(*overrides):
        base = ["schedule=cosine", f"optimizer={name}", "optimizer.learning_rate=0.04", "optimizer.weight_decay=0.5"]
        optimizer = build_optimizer(tiny(*base, "optimizer.decay=independent", *overrides), network, 2)
        variables = network.trainable_variables
        for variable in variables:
            variable.assign(np.ones(variable.shape))
        for _ in range(3):
            optimizer.apply([np.full(variable.shape, 0.1, np.float32) for variable in variables], variables)
        return {variable.path: np.asarray(variable) for variable in variables}

    ours = after("optimizer.groups=[{match:first/kernel,learning_rate:0.5,decay:0.25}]")
    np.testing.assert_array_equal(ours["second/kernel"], after()["second/kernel"])
    expected = after("optimizer.learning_rate=0.02", "optimizer.weight_decay=0.125")["first/kernel"]
    np.testing.assert_allclose(ours["first/kernel"], expected, rtol=1e-6)


def test_the_groups_are_told_and_frozen_variables_are_no_more_trained(tiny, network):
    from vit_train.training.optimizer import build_optimizer

    groups = "optimizer.groups=[bias|norm,{match:first,learning_rate:0}]"
    table = build_optimizer(tiny(groups, "optimizer.weight_decay=0.1"), network, 2).table
    names = ["pattern", "first", "bias|norm and first", "bias|norm", "all others"]
    assert [line.split("  ")[-1] for line in table] == names
    assert [line.split()[:4] for line in table[1:]] == [
        ["1", "12", "0", "0"],
        ["1", "3", "0", "0"],
        ["3", "8", "0.001", "0"],
        ["1", "6", "0.001", "0.1"],
    ]
    trained = [variable.path for variable in network.trainable_variables]
    assert trained == ["norm/gamma", "norm/beta", "second/kernel", "second/bias"]
    assert build_optimizer(tiny(), network, 2).table == ()


def test_sgd_is_nesterovs_momentum_after_the_decay():
    """Sutskever et al. 2013, section 2, in float64, with the decay of SGDW before each step."""
    from vit_train.training.optimizer import SGD

    moving = schedule("cosine", peak=0.1, warmup=5, total=50, final=0.1)
    gradients = np.random.default_rng(2).normal(size=(50, 3))
    ours = steps(SGD(moving, decay="scaled", weight_decay=0.2, momentum=0.9, nesterov=True), gradients)
    w, velocity = np.array((1.0, -2.0, 0.5)), np.zeros(3)
    for step, gradient in enumerate(gradients):
        rate = float(moving(step))
        w = w - 0.2 * rate * w
        velocity = 0.9 * velocity - rate * gradient
        w = w + 0.9 * velocity - rate * gradient
        np.testing.assert_allclose(ours[step], w, atol=1e-5)


def test_a_gradient_of_another_shape_is_no_update():
    from vit_train.training.optimizer import AdamW

    optimizer = AdamW(schedule(), decay="scaled", weight_decay=0.1)
    with pytest.raises(ValueError, match=r"a gradient has shape \(1,\), its variable \(3,\)"):
        steps(optimizer, [[0.1]])


def test_gradients_are_clipped_together(tiny, network):
    from vit_train.training.optimizer import build_optimizer

    optimizer = build_optimizer(tiny("optimizer.clip_norm=1"), network, steps_per_epoch=2)
    clipped = optimizer._clip_gradients([np.float32([3, 0]), np.float32([0, 4])])
    np.testing.assert_allclose(np.concatenate(clipped), [0.6, 0, 0, 0.8], rtol=1e-6)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.groups=[biass]", "optimizer.groups=[biass]: finds no variable; paths look like first/kernel"),
        (
            "optimizer.groups=[{match:.,learning_rate:0}]",
            "optimizer.groups=[{match:.,learning_rate:0}]: freezes every variable; leave one to train",
        ),
        ("schedule.warmup=5", "schedule.warmup='5 steps': is longer than the training of 4 steps"),
        (
            "schedule=trapezoid schedule.warmup=2 schedule.cooldown=3",
            "schedule.cooldown='3 steps': is longer than the 2 steps after the warmup",
        ),
    ],
)
def test_what_only_shows_with_a_model_is_one_sentence(tiny, network, override, message):
    from vit_train.errors import ConfigError
    from vit_train.training.optimizer import build_optimizer

    with pytest.raises(ConfigError) as error:
        build_optimizer(tiny(*override.split()), network, steps_per_epoch=2)
    assert str(error.value) == message
