"""Networks that start from trained weights. Which keys the model takes from them is in tests/config/test_follow.py."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_train.config.compose import load_config, to_yaml
from vit_train.errors import CheckpointError
from vit_train.rundir import history
from vit_train.rundir.layout import RunDir

pytestmark = pytest.mark.usefixtures("eagerly")

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "runs" / "v1"
DIGITS = tuple("0123456789")
SMALL = (
    "model.image_size=12", "model.patch_size=4", "model.projection_dim=8", "model.depth=2", "model.heads=2",
    "model.key_dim=4", "model.head_units=[]", "model.pooling=class_token", "model.register_tokens=1",
    "model.layer_scale=0.1",
)  # fmt: skip
HEAD = ("logits/kernel", "logits/bias")


@pytest.fixture
def run(tmp_path):
    """A run directory with a model of 3 x 3 patches whose weights are all drawn at random; also that network."""
    from vit_train.models import build, preprocessing

    config = load_config(SMALL)
    network = build.build_model(config.model, len(DIGITS))
    random = np.random.default_rng(0)
    for variable in network.variables:
        if variable.dtype == "float32":
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    network.get_layer("normalization").finalize_state()
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(to_yaml(config))
    preprocessing.with_preprocessing(network, (8, 8), DIGITS).save(folder / "model.keras")
    return folder, network


def begun(init, *overrides, names=DIGITS):
    """A new network from `init`, and what became of the weights."""
    from vit_train.models import build, initial

    config = load_config([f"init={init}", *overrides])
    network = build.build_model(config.model, len(names))
    return network, initial.begin(network, config, names)


def values(network):
    return {v.path: np.asarray(v) for v in network.variables if "seed_generator" not in v.path}


def test_the_same_classes_give_the_same_model(run):
    folder, theirs = run
    ours, account = begun(folder)
    images = np.random.default_rng(1).uniform(0, 255, (3, 12, 12, 3)).astype("float32")
    np.testing.assert_array_equal(ours(images), theirs(images))
    assert sorted(account["loaded"]) == sorted(values(theirs))
    assert (account["resized"], account["skipped"], account["at_start"]) == ({}, {}, ())
    count = len(values(theirs))
    assert account["summary"] == (
        f"init={folder}: weights of a run: {count} tensors loaded; 0 resized; 0 skipped; 0 variables at their start, "
        "the head is theirs, since the classes are"
    )


def test_other_classes_have_a_new_head_and_all_else_is_theirs(run):
    folder, theirs = run
    ours, account = begun(folder, names=("cat", "dog"))
    before, after = values(theirs), values(ours)
    for path in before.keys() - set(HEAD):
        np.testing.assert_array_equal(after[path], before[path])
    assert after["logits/kernel"].min() < 0  # all of the file are above
    assert account["skipped"] == dict.fromkeys(HEAD, "a head of other classes")
    assert account["at_start"] == HEAD
    assert account["summary"].endswith("; 2 skipped (a head of other classes); 2 variables at their start, a new head")


def test_positions_are_resampled_for_another_size(run):
    """Against Pillow's bicubic filter, which widens when there are fewer patches than before."""
    folder, theirs = run
    old = values(theirs)["embedding/positions"]
    for size, side in ((24, 6), (8, 2)):
        ours, account = begun(folder, f"model.image_size={size}")
        new = values(ours)["embedding/positions"]
        np.testing.assert_array_equal(new[0], old[0])  # that of the class token
        for channel in range(8):
            grid = Image.fromarray(old[1:, channel].reshape(3, 3)).resize((side, side), Image.Resampling.BICUBIC)
            np.testing.assert_allclose(new[1:, channel], np.asarray(grid).ravel(), atol=1e-5)
        assert account["resized"] == {"embedding/positions": f"positions of 3 x 3 to {side} x {side} patches"}
        assert account["at_start"] == ()


def test_an_unfinished_run_gives_its_best_weights(tmp_path):
    from vit_train.rundir import checkpoint

    run = Path(shutil.copytree(GOLDEN / "interrupted", tmp_path / "run"))
    found, _ = checkpoint.load(run / "checkpoints")
    best = {name.split("/", 2)[2]: array for name, array in found.best.items() if "seed_generator" not in name}
    _, account = begun(run)  # of a version that did not say what the classes are
    assert set(account["skipped"].values()) == {"a head of unknown classes"}

    (run / "environment.json").write_text(json.dumps({"class_names": DIGITS}))
    ours, account = begun(run)
    after = values(ours)
    assert after.keys() == best.keys()
    for path, array in best.items():
        np.testing.assert_array_equal(after[path], array)
    assert (account["family"], account["at_start"]) == ("an unfinished run", ())


def test_flattened_tokens_of_another_size_have_a_new_head():
    _, account = begun(GOLDEN / "finished", "model.image_size=16")
    assert set(account["skipped"].values()) == {"a head of other shapes"}
    assert account["at_start"] == ("head_0/kernel", "head_0/bias", *HEAD)


def test_tensors_without_a_place_and_variables_without_a_tensor_are_named(run):
    """The config says one block less, and no registers: as if it were another run's."""
    folder, _ = run
    fewer = [text for text in SMALL if "depth" not in text and "register" not in text]
    (folder / "config.yaml").write_text(to_yaml(load_config([*fewer, "model.depth=1", "model.stem=conv"])))
    absent = r"\d+ variables of this model have no tensor in it: stem/.*"
    unused = r"\d+ of its tensors have no place in this model: block_1/attention/.*, \.\.\."
    with pytest.raises(CheckpointError, match=f"model.keras: {absent}; {unused}; see"):
        begun(folder)


def test_a_shape_and_a_value_that_cannot_be_are_named(run):
    from vit_train.models import build, initial

    folder, _ = run
    weights = initial.read_own(str(folder))
    ours = build.build_model(load_config(SMALL).model, 10)
    before = values(ours)
    for array, sentence in (
        (np.ones(9, "float32"), "is 9 for norm/gamma, which is 8 in this model"),
        (np.full(8, np.nan, "float32"), "holds a value that is not finite"),
    ):
        damaged = dataclasses.replace(weights, arrays=weights.arrays | {"norm/gamma": array})
        with pytest.raises(CheckpointError, match=f"model.keras: norm/gamma {sentence}"):
            initial.assign(ours, damaged, "x", DIGITS)
    for path, array in values(ours).items():
        np.testing.assert_array_equal(array, before[path])


def test_a_damaged_file_is_a_sentence(run):
    folder, _ = run
    (folder / "model.keras").write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match=r"model\.keras: cannot be loaded \("):
        begun(folder)


@pytest.mark.slow
def test_a_killed_run_continues_without_the_file_but_not_with_another(tiny, stopped, tmp_path):
    from vit_train.run import train

    init = shutil.copytree(GOLDEN / "finished", tmp_path / "init")
    config = tiny(f"init={init}")
    path = stopped(config).path
    recorded = json.loads((path / "environment.json").read_text())["init"]
    assert recorded["file"] == str(init / "model.keras")
    assert recorded["at_start"] == []
    assert recorded["summary"] in (path / "train.log").read_text()

    content = (init / "model.keras").read_bytes()
    (init / "model.keras").write_bytes(content + b"x")
    with pytest.raises(CheckpointError, match=rf"^init={init}: has other weights than the run began with; bring those"):
        train(dataclasses.replace(config, resume=str(path)))
    (init / "model.keras").unlink()
    train(dataclasses.replace(config, resume=str(path)))
    assert json.loads((path / "environment.json").read_text())["init"] == recorded

    (init / "model.keras").write_bytes(content)
    whole = train(dataclasses.replace(config, outputs=str(tmp_path / "whole")))
    rows, unbroken = (history.read(RunDir(Path(run)).history) for run in (path, whole.run_dir))
    names = rows[0].keys() - {"seconds", "images_per_second"}
    assert [{name: row[name] for name in names} for row in rows] == [
        {name: row[name] for name in names} for row in unbroken
    ]
