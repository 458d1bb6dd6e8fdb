"""Files that other libraries wrote: `make parity` has them write tests/golden/pretrained."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from vit_train.config.compose import load_config
from vit_train.errors import CheckpointError, ConfigError
from vit_train.models.positions import resampled_patches, resampled_positions
from vit_train.rundir.layout import RunDir

pytestmark = pytest.mark.usefixtures("eagerly")

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "pretrained"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/golden.npz"))
NEEDS = {"torchvision": ["model.heads=3"]}  # its table of heads is of the published widths


def file_of(case):
    """A folder as the library leaves it, or the file where it leaves nothing beside."""
    return next(GOLDEN.glob(f"{case}/vit.*"), GOLDEN / case)


def begun(case, *overrides):
    """(a network with the weights of a case, what became of them)."""
    from vit_train.models import build, initial, preprocessing

    config = load_config([f"init={file_of(case)}", *NEEDS.get(case, ()), *overrides])
    network = build.build_model(config.model, 3)
    preprocessing.normalize_for(network, config.model, None)
    return network, initial.begin(network, config, ("cat", "dog", "emu"))


def features_of(network):
    import keras

    return keras.Model(network.inputs, network.get_layer("logits").input)


@pytest.mark.parametrize("case", CASES)
def test_features_and_their_gradients_are_the_librarys(case):
    import tensorflow as tf

    golden = np.load(GOLDEN / case / "golden.npz")
    network, account = begun(case)
    images = tf.constant(golden["images"], "float32")
    with tf.GradientTape() as tape:
        tape.watch(images)
        features = features_of(network)([images])
        loss = tf.reduce_sum(features * golden["weights"])
    np.testing.assert_allclose(features, golden["features"], rtol=1e-5, atol=1e-5)
    gradient = tape.gradient(loss, images)
    np.testing.assert_allclose(gradient, golden["gradient"], rtol=1e-4, atol=1e-4 * np.abs(golden["gradient"]).max())
    assert account["at_start"] == ("logits/kernel", "logits/bias")
    assert not account["resized"]


def test_positions_and_patches_are_resampled_as_timm_does():
    from vit_train.pretrained.layouts import patches

    golden = np.load(GOLDEN / "resampling.npz")
    for side in (3, 4, 5, 9, 12, 14):
        found, how = resampled_positions(golden["positions"][0], 1 + side**2, 1)
        np.testing.assert_allclose(found, golden[f"positions_{side}"][0], atol=1e-5)
        assert how == f"positions of 7 x 7 to {side} x {side} patches"
    for side in (4, 6, 7, 10, 12, 16):
        expected = patches(golden[f"kernel_{side}"], 1)
        found, how = resampled_patches(patches(golden["kernel"], 1), len(expected))
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert how == f"patches of 8 x 8 to {side} x {side} pixels"


def test_other_sizes_are_taken_and_said():
    network, account = begun("timm_vit", "model.image_size=24", "model.patch_size=4")
    assert network.input_shape[1] == 24
    assert account["resized"] == {
        "patch_embed.proj.weight": "patches of 8 x 8 to 4 x 4 pixels",
        "pos_embed": "positions of 4 x 4 to 6 x 6 patches",
    }
    assert account["summary"].startswith(f"init={GOLDEN}/timm_vit: weights of timm: ")


@pytest.mark.parametrize(
    "case",
    [
        "timm_dinov2_registers",
        *(pytest.param(case, marks=pytest.mark.slow) for case in ("transformers_deit", "open_clip", "vit_jax")),
    ],
)
def test_a_class_token_that_is_not_pooled_still_takes_part(case):
    """Its mean of the patches is that of the model which pools the class token, before pooling."""
    import keras

    images = np.load(GOLDEN / case / "golden.npz")["images"].astype("float32")
    theirs, _ = begun(case)
    ours, _ = begun(case, "model.pooling=average")
    tokens = keras.Model(theirs.inputs, theirs.get_layer("norm").output)([images])
    prefix = tokens.shape[1] - 16
    mean = np.asarray(tokens)[:, prefix:].mean(1)
    np.testing.assert_allclose(features_of(ours)([images]), mean, rtol=1e-5, atol=1e-5)


# What people report of other programs, and where; what is not here is in the tests above and in test_tensors.py.
def test_positions_without_one_of_the_class_token_are_resampled_as_a_whole():
    """timm#1365: with no_embed_class the first patch was taken for the class token."""
    network, account = begun("timm_deit3", "model.image_size=48")
    table = {variable.path: variable for variable in network.variables}["embedding/positions"]
    theirs = load_file(GOLDEN / "timm_deit3" / "model.safetensors")["pos_embed"][0]
    expected, _ = resampled_positions(theirs, 36, 0)
    np.testing.assert_allclose(table[1:], expected, atol=1e-6)
    np.testing.assert_array_equal(table[0], np.zeros(24))
    assert account["resized"] == {"pos_embed": "positions of 4 x 4 to 6 x 6 patches"}


def test_a_size_that_no_patches_fill_names_those_that_do():
    """dinov2#401: a size that is no multiple of 14."""
    with pytest.raises(ConfigError, match=r"does not divide model\.image_size=20; .* or model\.image_size=16 or 24$"):
        load_config([f"init={file_of('timm_dinov2')}", "model.image_size=20"])


def test_the_new_head_is_small_and_finite():
    """transformers#28122: heads of 1e37 and NaN out of memory that nobody had set."""
    network, _ = begun("timm_vit")
    images = np.load(GOLDEN / "timm_vit" / "golden.npz")["images"].astype("float32")
    assert np.abs(network(images)).max() < 10


def test_deeper_layers_learn_slower_and_registers_as_the_stem():
    """timm#2532 and #2691: layer_decay without effect, or not for registers."""
    from vit_train.training.groups import treatments

    file = file_of("timm_dinov2_registers")
    config = load_config(["experiment=finetune", f"init={file}"])
    network, _ = begun("timm_dinov2_registers")
    rates = {each.variable.path: each.learning_rate for each in treatments(config.optimizer, network)}
    assert rates["logits/kernel"] == 1
    assert rates["embedding/registers"] == rates["embedding/class_token"] == rates["embedding/projection/kernel"]
    found = [rates[path] for path in ("block_1/mlp_norm/gamma", "block_0/mlp_norm/gamma", "embedding/registers")]
    np.testing.assert_allclose(found, [0.75, 0.75**2, 0.75**3])


def test_the_preprocessing_is_in_the_model_that_is_saved():
    """vision_transformer#30: 38 % in place of 57 % with another mean and deviation."""
    network, _ = begun("timm_deit3")
    layer = network.get_layer("normalization")
    np.testing.assert_allclose(np.ravel(layer.mean) / 255, [0.485, 0.456, 0.406], rtol=1e-6)
    np.testing.assert_allclose(np.ravel(layer.variance) ** 0.5 / 255, [0.229, 0.224, 0.225], rtol=1e-6)


SHORT = ("dataset=digits", "dataset.fraction=0.2", "train.epochs=2", "train.batch_size=32", "figures=false")


@pytest.mark.slow
def test_a_killed_run_continues_without_the_file_but_not_with_another(stopped, tmp_path):
    from vit_train.run import train
    from vit_train.rundir import history

    init = shutil.copytree(GOLDEN / "timm_dinov2_registers", tmp_path / "init")
    keys = (*SHORT, "train.steps_per_epoch=2", f"outputs={tmp_path}")
    config = load_config(["experiment=finetune", f"init={init}", *keys])
    path = stopped(config).path
    recorded = json.loads((path / "environment.json").read_text())["init"]
    assert recorded["file"] == str(init / "model.safetensors")

    content = (init / "model.safetensors").read_bytes()
    (init / "model.safetensors").write_bytes(content + b"x")
    with pytest.raises(CheckpointError, match=r"has other weights than the run began with"):
        train(dataclasses.replace(config, resume=str(path)))
    shutil.rmtree(init)
    train(dataclasses.replace(config, resume=str(path)))
    assert json.loads((path / "environment.json").read_text())["init"] == recorded

    init.mkdir()
    (init / "model.safetensors").write_bytes(content)
    whole = train(dataclasses.replace(config, outputs=str(tmp_path / "whole")))
    rows, unbroken = (history.read(RunDir(Path(run)).history) for run in (path, whole.run_dir))
    names = rows[0].keys() - {"seconds", "images_per_second"}
    assert [{name: row[name] for name in names} for row in rows] == [
        {name: row[name] for name in names} for row in unbroken
    ]


@pytest.mark.slow
def test_a_run_that_was_stopped_before_its_first_step_needs_the_file(stopped, tmp_path, capsys):
    from vit_train.run import train

    init = shutil.copytree(GOLDEN / "timm_vit", tmp_path / "init")
    config = load_config(["experiment=probe", f"init={init}", *SHORT, f"outputs={tmp_path}"])
    path = stopped(config).path  # while features are computed
    assert "no step was taken yet; continue with: vit-train resume=" in capsys.readouterr().err
    init.rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=rf"^init={init}: is not there any more, and the run has no checkpoint"):
        train(dataclasses.replace(config, resume=str(path)))
    (tmp_path / "elsewhere").rename(init)
    assert train(dataclasses.replace(config, resume=str(path))).status == "completed"


def test_rotary_positions_are_taken_of_dinov3_only(tmp_path):
    """Others turn queries and keys by other angles, which no tensor tells."""
    shutil.copy(GOLDEN / "timm_dinov3" / "model.safetensors", tmp_path)
    with pytest.raises(CheckpointError, match=r"has no table of positions, and no config.json beside it says"):
        load_config([f"init={tmp_path}"])
    config = json.loads((GOLDEN / "timm_dinov3" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"architecture": "vit_small_patch16_rope_224"}))
    with pytest.raises(
        CheckpointError, match=r"vit_small_patch16_rope_224 has no table of positions and is not DINOv3"
    ):
        load_config([f"init={tmp_path}"])
    config = json.loads((GOLDEN / "transformers_dinov3" / "config.json").read_text())
    shutil.copytree(GOLDEN / "transformers_dinov3", tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text(json.dumps(config | {"rope_theta": 10_000.0}))
    with pytest.raises(CheckpointError, match=r"its rope_theta is 10000.0, and 100.0 is what is taken"):
        load_config([f"init={tmp_path / 'other'}"])
