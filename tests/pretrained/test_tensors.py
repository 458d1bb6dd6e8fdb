"""Files of tensors that are damaged, hostile or of something else: one sentence each, in bounded memory."""

import json
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from vit_train.config.compose import load_config
from vit_train.errors import CheckpointError, ConfigError
from vit_train.pretrained import foreign, tensors

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "pretrained"
VIT = GOLDEN / "timm_vit" / "model.safetensors"
PRESET = GOLDEN / "keras_hub_vit"


@pytest.fixture
def changed(tmp_path):
    """Writes the tensors of timm_vit again: `changed(name=tensor)`, None for leaving one out; config.json is beside."""
    shutil.copy(VIT.with_name("config.json"), tmp_path)

    def write(**others):
        found = load_file(VIT) | {name.replace("__", "."): values for name, values in others.items()}
        save_file({name: values for name, values in found.items() if values is not None}, tmp_path / "x.safetensors")
        return tmp_path / "x.safetensors"

    return write


def header(entries, data=b""):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no whole .safetensors file"),
        (VIT.read_bytes()[:-1], "is no whole .safetensors file"),
        (VIT.read_bytes() + b"x", "is no whole .safetensors file"),
        (struct.pack("<Q", 2**30) + b"{}", "is no whole .safetensors file"),
        (header({"a": ONE | {"shape": [2**40]}}, b"1234"), "is no whole .safetensors file"),
        (header({"a": ONE, "b": ONE}, b"1234"), "is no whole .safetensors file"),
        (header({}), "has no tensors"),
        (pickle.dumps({"a": 1}), "is a pickle of PyTorch, which can run anything; make a .safetensors"),
    ],
)
def test_what_is_no_safetensors_file_is_one_sentence(tmp_path, content, sentence):
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"^{file}: .*{re.escape(sentence)}") as raised:
        tensors.shapes(file)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["x.pth", "x.bin", "x.safetensors"])
def test_a_pickle_is_never_opened(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:  # as PyTorch writes them
        archive.writestr("x/data.pkl", b"cos\nabort\n(tR.")
    with pytest.raises(CheckpointError, match=r"pickle of PyTorch.*weights_only=True"):
        load_config([f"init={tmp_path / name}"])


def test_the_command_against_pickles_converts_them(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"model": {"a": torch.arange(6.0).reshape(2, 3).T}}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError) as raised:
        tensors.shapes(tmp_path / "x.pth")
    command = str(raised.value).split("make a .safetensors of it with: ")[1]
    subprocess.run(command.replace("python", sys.executable, 1), shell=True, cwd=tmp_path, check=True)
    assert tensors.shapes(tmp_path / "x.safetensors") == {"a": (3, 2)}


def test_an_archive_that_unpacks_to_more_than_weights_can_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(10**7, "float32"))
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=r"a of \(10000000,\) unpacks to more than its [\d,]+ bytes can hold"):
        tensors.shapes(tmp_path / "x.npz")
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_an_array_of_objects_is_never_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", **{**np.load(GOLDEN / "vit_jax" / "vit.npz"), "cls": np.array([{}], object)})
    with pytest.raises(CheckpointError, match=r"x\.npz: cannot be read"):
        foreign.read(tmp_path / "x.npz", 3, True)


def test_half_precision_is_read_and_whole_numbers_are_not(changed):
    for kind in ("float16", ml_dtypes.bfloat16):
        norm = np.arange(24).astype(kind)
        found = foreign.read(changed(norm__weight=norm), 3, True).arrays["norm/gamma"]
        assert found.dtype == "float32"
        np.testing.assert_array_equal(found, norm.astype("float32"))
    with pytest.raises(CheckpointError, match=r"norm\.weight holds int32, and weights are floats"):
        foreign.read(changed(norm__weight=np.arange(24, dtype="int32")), 3, True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rel_pos": np.zeros(3)}, r"1 of its tensors have no place in a Vision Transformer of timm .*: rel_pos$"),
        ({"fc_norm__weight": np.ones(24, "f")}, r"norm\.weight and fc_norm\.weight are both norm/gamma|fc_norm.*both"),
        ({"pos_embed": np.zeros((1, 8, 24), "f")}, r"has 8 positions, which are no square of patches$"),
        (
            {"blocks__0__attn__proj__weight": np.zeros((24, 23), "f")},
            r"proj\.weight is 24 x 23, which cannot be laid out",
        ),
        ({"patch_embed__proj__weight": np.zeros((24, 1, 8, 8), "f")}, r"patches of 64 values, which are no square"),
        ({"pos_embed": np.array(0, "f")}, r"pos_embed is one number, which cannot be laid out"),
        ({"blocks__9__norm1__bias": np.zeros(24, "f")}, r"has tensors of block 9, but none of block 2$"),
        ({"blocks__99999__norm1__bias": np.zeros(24, "f")}, r"no place .*: blocks\.99999\.norm1\.bias$"),
    ],
)
def test_tensors_that_do_not_make_a_model_are_named(changed, change, sentence):
    file = changed(**change)
    with pytest.raises(CheckpointError, match=f"^{file}: .*({sentence})"):
        (foreign.model_keys(foreign.look(file), None), foreign.read(file, 3, True))


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"blocks__1__norm1__bias": None},
            r"1 variables of this model have no tensor in it: block_1/attention_norm/beta",
        ),
        ({"blocks__1__attn__qkv__bias": None}, r"3 variables .*: block_1/attention/query/bias"),
        ({"norm__bias": np.full(24, np.nan, "f")}, r"norm\.bias holds a value that is not finite$"),
        ({"norm__bias": np.zeros(23, "f")}, r"norm\.bias is 23 for norm/beta, which is 24 in this model"),
    ],
)
def test_what_does_not_fit_the_model_is_named_and_loads_nothing(changed, change, sentence):
    from vit_train.models import build, initial

    file = changed(**change)
    config = load_config([f"init={file}"])
    network = build.build_model(config.model, 3)
    before = [np.asarray(weight) for weight in network.weights]
    with pytest.raises(CheckpointError, match=sentence):
        initial.begin(network, config, ("cat", "dog", "emu"))
    for old, new in zip(before, network.weights, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.usefixtures("eagerly")
def test_biases_that_a_family_leaves_out_are_zero_and_said(changed):
    from vit_train.models import build, initial

    config = load_config([f"init={changed(blocks__0__attn__qkv__bias=None, blocks__1__attn__qkv__bias=None)}"])
    network = build.build_model(config.model, 3)
    account = initial.begin(network, config, ("cat", "dog", "emu"))
    assert len(account["zeros"]) == 6
    assert "6 biases 0, of which the file has none" in account["summary"]


def test_other_networks_are_told_from_vision_transformers(tmp_path):
    save_file(
        {"conv1.weight": np.zeros((8, 3, 7, 7), "f"), "layer1.0.conv1.weight": np.zeros(3, "f")},
        tmp_path / "r.safetensors",
    )
    with pytest.raises(CheckpointError, match="more than one Vision Transformer of timm"):
        foreign.look(tmp_path / "r.safetensors")
    save_file({"stem.weight": np.zeros(3, "f")}, tmp_path / "s.safetensors")
    with pytest.raises(
        CheckpointError, match=r"patch projection of no Vision Transformer of .*; its tensors are stem\.weight$"
    ):
        foreign.look(tmp_path / "s.safetensors")


def test_parts_are_read_as_one_file_and_only_from_the_folder(tmp_path):
    whole = load_file(GOLDEN / "transformers_vit" / "model.safetensors")
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(GOLDEN / "transformers_vit" / name, tmp_path)
    names = sorted(whole)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for part, held in parts.items():
        save_file({name: whole[name] for name in held}, tmp_path / part)
    index = {"weight_map": {name: part for part, held in parts.items() for name in held}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert foreign.is_foreign(tmp_path)
    found, expected = (foreign.read(path, 3, True) for path in (tmp_path, GOLDEN / "transformers_vit"))
    for path, array in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[path], array)
    assert found.sha256 != expected.sha256
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../model-1.safetensors"}}))
    with pytest.raises(CheckpointError, match="names something other than"):
        tensors.shapes(tmp_path)


@pytest.mark.parametrize(
    ("beside", "error", "sentence"),
    [
        (None, ConfigError, "neither its tensors, of timm, nor a config.json beside it say model.heads and model.mean"),
        ("{", CheckpointError, r"config\.json: cannot be used \(it is no JSON, or a part of one\); mend it"),
        ("[]", CheckpointError, "something else where names and values should be"),
        ('{"num_features": 192}', CheckpointError, "it is of a model of width 192, and the tensors are of width 24"),
        ('{"architecture": "vit_base_patch16_rpn_224"}', CheckpointError, "vit_base_patch16_rpn_224 are not those"),
    ],
)
def test_what_no_tensor_tells_is_asked_for(tmp_path, beside, error, sentence):
    shutil.copy(VIT, tmp_path)
    if beside is not None:
        (tmp_path / "config.json").write_text(beside)
    with pytest.raises(error, match=sentence):
        load_config([f"init={tmp_path / VIT.name}"])


def test_what_no_tensor_tells_can_be_set(tmp_path):
    shutil.copy(VIT, tmp_path)
    keys = ["model.heads=3", "model.mean=[0.5,0.5,0.5]", "model.std=[0.5,0.5,0.5]"]
    model = load_config([f"init={tmp_path / VIT.name}", *keys]).model
    assert (model.heads, model.mean, model.norm_epsilon) == (3, (0.5, 0.5, 0.5), 1e-6)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 12_000), st.binary(min_size=1, max_size=8))
def test_any_bytes_are_weights_or_one_sentence(tmp_path, place, junk):
    content = bytearray(VIT.read_bytes())
    content[place : place + len(junk)] = junk
    (tmp_path / "x.safetensors").write_bytes(content)
    shutil.copy(VIT.with_name("config.json"), tmp_path)
    try:
        foreign.read(tmp_path / "x.safetensors", 3, True)
    except CheckpointError as error:
        assert "\n" not in str(error)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 170_000), st.binary(min_size=1, max_size=8), st.booleans())
def test_any_bytes_are_a_preset_or_one_sentence(tmp_path, place, junk, cut):
    content = bytearray((PRESET / "model.weights.h5").read_bytes())
    content[place : place + len(junk)] = junk
    (tmp_path / "x.h5").write_bytes(content[:place] if cut else content)
    shutil.copy(PRESET / "config.json", tmp_path)
    try:
        foreign.read(tmp_path / "x.h5", 3, True)
    except CheckpointError as error:
        assert "\n" not in str(error)


def test_a_preset_is_read_from_its_own_bytes_only(tmp_path):
    import h5py

    with h5py.File(tmp_path / "far.h5", "w") as file:
        file.create_dataset("a", (3,), "float32", external=[("/etc/hostname", 0, 12)])
    with pytest.raises(CheckpointError, match=r"far\.h5: cannot be read \(a is kept in another file\)"):
        tensors.shapes(tmp_path / "far.h5")
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("a", data=np.zeros(10**6, "float32"), compression="gzip")
    with pytest.raises(CheckpointError, match=r"a of \(1000000,\) unpacks to more than its bytes can hold"):
        tensors.shapes(tmp_path / "bomb.h5")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["a"] = h5py.ExternalLink("bomb.h5", "a")
    with pytest.raises(CheckpointError, match=r"link\.h5: has no tensors"):
        tensors.shapes(tmp_path / "link.h5")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"class_name": "DeiTBackbone"}, "it is of DeiTBackbone, and ViTBackbone is what is taken"),
        ({"config": {"hidden_dim": 25}}, "it is of a model of width 25"),
    ],
)
def test_a_preset_of_another_model_is_refused(tmp_path, change, sentence):
    shutil.copy(PRESET / "model.weights.h5", tmp_path)
    found = json.loads((PRESET / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(found | change))
    with pytest.raises(CheckpointError, match=sentence):
        foreign.look(tmp_path)


def test_a_preset_says_all_but_the_head():
    keys = foreign.model_keys(foreign.look(PRESET), None)
    assert (keys["heads"], keys["norm_epsilon"], keys["activation"]) == (3, 1e-5, "gelu")
    np.testing.assert_allclose([*keys["mean"], *keys["std"]], 0.5)


SHAPES = st.lists(st.integers(0, 50), max_size=5).map(tuple)
NAMES = sorted(load_file(VIT))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*NAMES, "blocks.1.ls1.gamma", "fc_norm.bias", "dist_token", "x"]), SHAPES))
def test_any_shapes_are_keys_of_a_model_or_one_sentence(changes):
    shapes = {name: tensor.shape for name, tensor in load_file(VIT).items()} | changes
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tensors, "shapes", lambda path: shapes)
        try:
            keys = foreign.model_keys(foreign.look(VIT), None)
        except CheckpointError as error:
            assert "\n" not in str(error)
        else:
            assert keys["depth"] == 2
            assert keys["image_size"] % keys["patch_size"] == 0
