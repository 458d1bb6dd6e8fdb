from pathlib import Path

import numpy as np
import pytest

from vit_train.errors import ConfigError
from vit_train.rundir import checkpoint

pytestmark = pytest.mark.usefixtures("eagerly")

ATTENTION = "{match:attention/.*/kernel,learning_rate:1,lora:2}"
LORA = f"optimizer.groups=[{{match:'^(?!logits/)',learning_rate:0}},{ATTENTION}]"


def optimizers(name, **options):
    """Ours, and Keras' own of the same settings."""
    import keras

    from vit_train.training import optimizer as ours
    from vit_train.training.schedule import Schedule

    schedule = Schedule("constant", 0.03, 0, 9, 1.0)
    settings = {
        "AdamW": {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-6},
        "SGD": {"momentum": 0.9, "nesterov": True},
        "Lion": {"beta_1": 0.8, "beta_2": 0.9},
    }[name]
    theirs = getattr(keras.optimizers, name)(0.03, weight_decay=0.2, **settings)
    return getattr(ours, name)(schedule, decay="scaled", weight_decay=0.2, **settings, **options), theirs


@pytest.mark.parametrize("name", ["AdamW", "SGD", "Lion"])
def test_a_matrix_moves_as_if_the_two_narrow_ones_were_the_variables(name):
    """Those are variables of a loss that TensorFlow differentiates, and Keras' optimizer trains them."""
    import keras
    import tensorflow as tf

    random = np.random.default_rng(0)
    start, x, y = (random.normal(size=shape).astype("float32") for shape in ((6, 5), (8, 6), (8, 5)))
    matrix, bias = keras.Variable(start.reshape(6, 1, 5)), keras.Variable(np.zeros(5, "float32"))
    ours, theirs = optimizers(name, lora=[(6, 5, 2), None])
    ours.build([matrix, bias])
    a, b = (keras.Variable(np.array(part)) for part in np.split(np.asarray(ours.factors[0]), [6]))
    assert np.abs(a).max() < 6**-0.5
    assert not np.any(b)
    other_bias = keras.Variable(np.zeros(5, "float32"))
    for _ in range(9):
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean((x @ tf.reshape(matrix.value, (6, 5)) + bias.value - y) ** 2)
            other = tf.reduce_mean((x @ (start + a.value @ tf.transpose(b.value)) + other_bias.value - y) ** 2)
        ours.apply(tape.gradient(loss, [matrix.value, bias.value]), [matrix, bias])
        theirs.apply(tape.gradient(other, [a.value, b.value, other_bias.value]), [a, b, other_bias])
    expected = start + np.asarray(a) @ np.asarray(b).T
    assert np.abs(expected - start).max() > 0.05
    np.testing.assert_allclose(np.asarray(matrix).reshape(6, 5), expected, atol=2e-5)
    np.testing.assert_allclose(bias, other_bias, atol=2e-5)


def kernels_of(run_dir):
    from vit_train import load_model

    network = load_model(f"{run_dir}/model.keras")
    return {each.path[each.path.index("block") :]: np.asarray(each) for each in network.weights if "block" in each.path}


@pytest.mark.parametrize("averaged", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_only_what_is_adapted_changes_and_by_a_matrix_of_the_rank(tiny, finished, averaged):
    """Also beside Muon, which takes the other matrices of the blocks, and for the averages of the weights."""
    from vit_train.run import train

    others = ("optimizer=muon", "train.ema_decay=0.9", LORA[:-1] + ",{match:mlp_hidden/kernel,learning_rate:1}]")
    keys = (f"init={finished.path}", "train.epochs=1", "optimizer.learning_rate=0.01")
    report = train(tiny(*keys, *(others if averaged else [LORA])))
    before, after = kernels_of(finished.path), kernels_of(report.run_dir)
    changes = {name: after[name] - value for name, value in before.items() if (after[name] != value).any()}
    adapted = {name for name in before if "attention/" in name and name.endswith("kernel")}
    assert changes.keys() == adapted | {name for name in before if averaged and name.endswith("mlp_hidden/kernel")}
    for name in adapted if not averaged else ():  # an average of such matrices has a higher rank
        rows, *_, columns = changes[name].shape
        matrix = changes[name].reshape((-1, columns) if "attention_output" in name else (rows, -1))
        singular = np.linalg.svd(matrix, compute_uv=False)
        assert singular[1] > 1e-5 > 1e-6 > singular[2]


@pytest.mark.slow
def test_a_stopped_run_continues_exactly(tiny, stopped, tmp_path):
    from vit_train.run import train
    from vit_train.rundir import resume

    run = stopped(tiny(LORA, "train.checkpoint.every=1"))
    train(resume.load([f"resume={run.path}"]))
    whole = train(tiny(LORA, f"outputs={tmp_path}/whole"))
    ends = [checkpoint.load(path / "checkpoints")[0].latest for path in (run.path, Path(whole.run_dir))]
    assert any("lora" in name for name in ends[0])
    for name, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[1][name])


@pytest.mark.parametrize(
    ("group", "sentence"),
    [
        ("{match:attention/,lora:2}", "finds block_0/attention/query/bias, which is no matrix; lora needs a pattern"),
        (
            "{match:attention/query/kernel,lora:500}",
            "a rank of 500 has no fewer parameters than block_0/attention/query",
        ),
        ("{match:kernel,lora:0}", "must be a list"),
        ("{match:kernel,lora:1.5}", "must be a list"),
        ("{match:kernel,lora:true}", "must be a list"),
    ],
)
def test_what_cannot_be_adapted_is_named(tiny, group, sentence):
    from vit_train.models.build import build_model
    from vit_train.training.groups import treatments

    def adapt():
        config = tiny(f"optimizer.groups=[{group}]")
        treatments(config.optimizer, build_model(config.model, 10))

    with pytest.raises(ConfigError, match=rf"^optimizer.groups=.*{sentence}"):
        adapt()


ON_JAX = """
import sys
from conftest import TINY
from vit_train.config.compose import load_config
from vit_train.machine import backend
keys = [*TINY, "compute.backend=jax", "compute.devices=cpu", f"outputs={sys.argv[1]}"]
config = load_config([*keys, "train.epochs=1"])
backend.configure(config.compute, config.seed)
import numpy as np
from vit_train import load_model
from vit_train.run import train
first = train(config)
second = train(load_config([*keys, f"init={first.run_dir}", "optimizer.learning_rate=0.01", sys.argv[2]]))
before, after = (load_model(f"{each.run_dir}/model.keras").weights for each in (first, second))
pairs = [(a, b) for a, b in zip(after, before) if "block" in b.path]
moved = {b.path.split("block_0/")[-1]: np.asarray(a) - np.asarray(b) for a, b in pairs}
changed = {path for path, change in moved.items() if change.any()}
assert changed == {f"attention/{name}/kernel" for name in ("query", "key", "value", "attention_output")}, changed
singular = np.linalg.svd(moved["attention/query/kernel"].reshape(8, -1), compute_uv=False)
assert singular[1] > 1e-5 > 1e-6 > singular[2], singular
"""


@pytest.mark.slow
def test_jax_does_the_same(run_on, tmp_path):
    run_on("jax", ON_JAX, str(tmp_path), LORA)
