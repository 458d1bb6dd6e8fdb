"""Blocks that begin to learn one after another, and what learns alone: `optimizer.unfreeze` and groups."""

import keras
import numpy as np
import pytest

from vit_train.config.compose import load_config
from vit_train.errors import ConfigError

pytestmark = pytest.mark.usefixtures("eagerly")


def compiled(config):
    from vit_train.data.images import Examples
    from vit_train.models import build
    from vit_train.training.objective import compile_model

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, 8, 8, 3)).astype("uint8")
    labels = np.arange(64, dtype="int32") % 10
    model = compile_model(build.build_model(config.model, 10), Examples(images, labels), config, list("0123456789"))
    return model, images[:32].astype("float32"), labels[:32]


def moved(before, model):
    """The layers of which a weight has changed."""
    pairs = zip(before, model.trainable_variables, strict=True)
    return {new.path.split("/")[0] for old, new in pairs if not np.array_equal(old, new)}


def test_one_more_block_learns_after_each_epoch(tiny):
    """Of one step each."""
    model, images, labels = compiled(
        tiny("model.depth=2", "train.epochs=5", "train.batch_size=64", "optimizer.unfreeze=1 epoch")
    )
    steps, waiting = [], {"embedding", "block_0", "block_1", "norm", "head_0", "logits"}
    for _ in range(4):
        before = [keras.ops.convert_to_numpy(each).copy() for each in model.trainable_variables]
        model.train_on_batch(images, labels)
        steps.append(moved(before, model) & waiting)
    head = {"norm", "head_0", "logits"}
    assert steps == [head, head | {"block_1"}, head | {"block_1", "block_0"}, waiting]
    assert any(line.endswith("block 1 from step 2") for line in model.optimizer.table)
    assert any(line.endswith("stem from step 4") for line in model.optimizer.table)


def test_biases_alone(tiny):
    """BitFit (arXiv 2106.10199): the group that docs/finetune.md has."""
    groups = r"optimizer.groups=[{match:'^(?!logits/|.*(bias|beta)$)',learning_rate:0}]"
    model, *_ = compiled(tiny(groups, "model.depth=2"))
    paths = [variable.path for variable in model.trainable_variables]
    assert {path.rsplit("/", 1)[1] for path in paths if "logits" not in path} == {"bias", "beta"}
    assert {path for path in paths if "logits" in path} == {"logits/kernel", "logits/bias"}
    assert sum("block_1/" in path for path in paths) == 8  # 4 of attention, 2 of the MLP, 2 of the norms


@pytest.mark.parametrize("length", ["0", "2 minutes"])
def test_what_is_no_length_of_training_is_refused(length):
    with pytest.raises(ConfigError, match=r"^optimizer\.unfreeze='.*': must be steps \(500\), epochs"):
        load_config([f"optimizer.unfreeze={length}"])
