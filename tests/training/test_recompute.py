"""What is computed again in the backward pass is what was computed before: `train.recompute`."""

import pytest

from vit_train.config.compose import load_config
from vit_train.errors import ConfigError

# Two steps with and without, whose weights and optimizer must have the same bits.
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
images = rng.integers(0, 256, (12, 8, 8, 3)).astype("uint8")
labels = np.arange(12, dtype="int32") % 10


def trained(*keys):
    keys = ["dataset=digits", "model.image_size=8", "model.patch_size=2", "model.projection_dim=8", "model.depth=1",
            "model.heads=2", "model.head_units=[]", "model.drop_path=0.3", "model.drop_path_mode=constant",
            "train.batch_size=12", "train.ema_decay=0.9", *sys.argv[1:], *keys]
    config = load_config(keys)
    backend.configure(config.compute, seed=0)
    keras.utils.set_random_seed(0)
    model = compile_model(build.build_model(config.model, 10), Examples(images, labels), config, list("0123456789"))
    for _ in range(2):
        model.train_on_batch(images.astype("float32"), labels)
    if keras.config.backend() == "jax":
        model.jax_state_sync()
    return [keras.ops.convert_to_numpy(each) for each in (*model.variables, *model.optimizer.variables)]


for ours, wanted in zip(trained("train.recompute=true"), trained(), strict=True):
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=TOLERANCE)
"""
WIDE = ("model.key_dim=8", "model.dropout=0.2", "model.mlp=conv", "model.layer_scale=0.1")  # attention by small kernels
NARROW = (
    "model.key_dim=4",
    "model.dropout=0",
    "model.activation=gelu_tanh",
)  # one product for queries, keys and values


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("keys", [WIDE, pytest.param(NARROW, marks=pytest.mark.slow)])
def test_it_is_the_same_to_the_bit(run_on, keys):
    run_on("tensorflow", CODE.replace("TOLERANCE", "0"), *keys)


@pytest.mark.slow
@pytest.mark.parametrize("keys", [WIDE, NARROW])
def test_it_is_in_graphs(run_on, keys):
    run_on("tensorflow", CODE.replace("TOLERANCE", "1e-6"), *keys)


@pytest.mark.slow
@pytest.mark.parametrize("keys", [WIDE, NARROW])
def test_on_jax_but_for_what_xla_fuses(run_on, keys):
    run_on("jax", CODE.replace("TOLERANCE", "2e-5"), "compute.backend=jax", *keys)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (["model=resnet50v2"], "model=resnet50v2 has no block"),
        (["compute.backend=torch"], "is made for compute.backend=tensorflow and jax"),
        (["compute.kernels=keras"], "use compute.kernels=auto$"),
    ],
)
def test_where_it_cannot_be_it_is_one_sentence(keys, sentence):
    with pytest.raises(ConfigError, match=rf"^train\.recompute=true: .*{sentence}"):
        load_config(["dataset=digits", "train.recompute=true", *keys])
