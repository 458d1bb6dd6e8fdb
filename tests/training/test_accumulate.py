"""A step in parts of its batch, one after another or at the same time, is the step of the batch."""

import numpy as np
import pytest

from vit_train.config.compose import load_config
from vit_train.errors import ConfigError

# Trains on random images with all at once and in parts, and compares weights, optimizer and metrics.
CODE = """
import sys
import keras
import numpy as np
from vit_train.config.compose import load_config
from vit_train.data.images import Examples
from vit_train.machine import backend
from vit_train.models import build
from vit_train.training.objective import compile_model

rng = np.random.default_rng(0)
images = rng.integers(0, 256, (22, 8, 8, 3)).astype("uint8")
labels = np.arange(22, dtype="int32") % 10


def trained(*keys):
    keys = ["dataset=digits", "model.image_size=8", "model.patch_size=4", "model.projection_dim=8", "model.depth=1",
            "model.heads=2", "model.head_units=[]", "model.dropout=0", "model.head_dropout=0", "train.batch_size=22",
            "train.ema_decay=0.9", "optimizer.clip_norm=0.5", "loss.label_smoothing=0.1", *sys.argv[1:], *keys]
    config = load_config(keys)
    backend.configure(config.compute, seed=0)
    model = compile_model(build.build_model(config.model, 10), Examples(images, labels), config, list("0123456789"))
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape))
    x = images.astype("float32")
    weights = np.where(np.arange(22) < 20, 1.1, 0).astype("float32")
    logs = [model.train_on_batch(x, labels, return_dict=True),
            model.train_on_batch(x, labels, weights, return_dict=True),
            model.train_on_batch(x[:5], labels[:5], return_dict=True)]
    if keras.config.backend() == "jax":
        model.jax_state_sync()
    found = [keras.ops.convert_to_numpy(each) for each in (*model.trainable_variables, *model.optimizer.variables)]
    return found, [[log[name] for name in ("cross_entropy", "accuracy", "top5_accuracy")] for log in logs]


whole, figures = trained()
for keys in KEYS:  # 22 and 5 are no multiples of 4, and 5 has no image for the last of its parts
    found, in_parts = trained(*keys.split())
    for ours, wanted in zip(found, whole, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(in_parts, figures, rtol=1e-5)
"""
SGD = ("optimizer=sgd", "optimizer.learning_rate=0.05")


@pytest.mark.usefixtures("eagerly")
def test_a_step_in_parts_is_the_step_of_the_whole(run_on):
    run_on("tensorflow", CODE.replace("KEYS", "['train.accumulate=4', 'compute.batch_parts=6']"), *SGD)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_it_is_in_graphs(run_on, backend):
    keys = ["train.accumulate=2", "train.accumulate=4", "compute.batch_parts=2 train.accumulate=2"]
    run_on(backend, CODE.replace("KEYS", str(keys)), *SGD, f"compute.backend={backend}")


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("optimizer", ["muon", "lion", "adamw"])
def test_of_every_optimizer(run_on, optimizer):
    """Adam and Lion take the sign of a gradient, of which rounding may make another where it is 0, so not of each."""
    code = CODE.replace("KEYS", "['train.accumulate=4']").replace("atol=2e-5", "atol=3e-3")
    run_on("tensorflow", code, f"optimizer={optimizer}")


# Trains on fewer images than parts and looks at what batch normalisation keeps.
FEWER = """
import numpy as np
from vit_train.config.compose import load_config
from vit_train.data.images import Examples
from vit_train.machine import backend
from vit_train.models import build
from vit_train.training.objective import compile_model

keys = "experiment=fast dataset=digits model.depth=1 train.batch_size=4 compute.batch_parts=3"
config = load_config(keys.split())
backend.configure(config.compute, seed=0)
images, labels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("uint8"), np.arange(4, dtype="int32")
model = compile_model(build.build_model(config.model, 10), Examples(images, labels), config, list("0123456789"))
for count in (4, 2, 1):
    log = model.train_on_batch(images[:count].astype("float32"), labels[:count], return_dict=True)
    assert np.isfinite(log["loss"]), (count, log)
for variable in model.variables:
    assert np.isfinite(variable.numpy().astype("float32")).all(), variable.path
"""


@pytest.mark.usefixtures("eagerly")
def test_fewer_images_than_parts_leave_nothing_undefined(run_on):
    run_on("tensorflow", FEWER)


@pytest.mark.usefixtures("eagerly")
def test_parts_take_turns(tensorflow):
    from vit_train.training.accumulate import split

    images, labels = np.arange(5.0, dtype="float32")[:, None], np.arange(5)
    (x, y, weights), factor = split((images, labels), 2)
    assert np.asarray(x)[..., 0].tolist() == [[0, 2, 4], [1, 3, 4]]
    assert np.asarray(y).tolist() == [[0, 2, 4], [1, 3, 4]]
    assert np.asarray(weights).tolist() == [[1, 1, 1], [1, 1, 0]]
    assert float(factor) == pytest.approx(3 / 5)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_non_finite_part_is_a_non_finite_step(tiny):
    from vit_train.errors import NonFiniteLoss
    from vit_train.run import train

    with pytest.raises(NonFiniteLoss, match="not finite in epoch 1 at step 2"):
        train(tiny("train.accumulate=2", "optimizer=sgd", "optimizer.learning_rate=1e38"))


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("key", ["train.accumulate=3", "compute.batch_parts=2"])
def test_a_stopped_run_continues_exactly(tiny, stopped, tmp_path, key):
    from training.test_features import figures, trained

    from vit_train.run import train
    from vit_train.rundir import resume

    expected = trained(tiny(key, f"outputs={tmp_path}/whole"))
    run = stopped(tiny(key))
    train(resume.load([f"resume={run.path}"]))
    for found, wanted in zip(figures(run), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("name", "parts", "threads"), [("tensorflow", 2, [3]), ("jax", 1, [])])
@pytest.mark.usefixtures("tensorflow")
def test_parts_at_once_have_their_share_of_the_cores(monkeypatch, name, parts, threads):
    import tensorflow as tf

    from vit_train.machine import backend

    found = []
    monkeypatch.setattr(backend, "cpu_cores", lambda: [0, 2, 3, 5, 6, 7])
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", found.append)
    config = load_config(["dataset=digits", "compute.batch_parts=2", f"compute.backend={name}"])
    backend._share_cores(config.compute)
    assert found == threads
    assert backend.batch_parts(config.compute) == parts


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (["train.batch_size=3"], "is more than the images of a step, train.batch_size=3$"),
        (["train.cache_features=true", "augment=none"], "does not go with train.cache_features=true"),
        (["augment.mixup=0.2", "augment.placement=device"], "use augment.placement=host$"),
    ],
)
def test_where_parts_cannot_be_computed_at_once_it_is_one_sentence(keys, sentence):
    with pytest.raises(ConfigError, match=rf"^compute\.batch_parts=4: .*{sentence}"):
        load_config(["dataset=digits", "compute.batch_parts=4", *keys])


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (["train.batch_size=3", "augment=none"], "is more than the images of a step, train.batch_size=3$"),
        (["compute.devices=all"], "is made for one device; use compute.devices=auto$"),
        (["compute.backend=torch"], "is made for compute.backend=tensorflow and jax"),
        (["augment.mixup=0.2", "augment.placement=device"], "use augment.placement=host$"),
    ],
)
def test_where_there_are_no_parts_it_is_one_sentence(keys, sentence):
    with pytest.raises(ConfigError, match=rf"^train\.accumulate=4: .*{sentence}"):
        load_config(["dataset=digits", "train.accumulate=4", *keys])
