"""Each format in the runtime that its users have."""

import importlib.util
import json
import zipfile

import numpy as np
import pytest

from vit_train.runs.cli import run as vit_runs
from vit_train.runs.loading import load

pytestmark = pytest.mark.usefixtures("tensorflow")
NAMES = list("0123456789")


@pytest.fixture(scope="module")
def images():
    from vit_train.data.sources import load_digits

    return load_digits().test.images[:200]


@pytest.fixture(scope="module")
def expected(trained, images):
    logits = load(trained)[0].predict(images, verbose=0).astype(np.float64)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def export(run, form, output):
    assert vit_runs(["export", str(run.path), "--format", form, "--output", str(output)]) == 0
    return str(output)


def check(infer, images, expected):
    for size in (200, 7, 1):
        found = np.asarray(infer(images[:size]))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[:size], atol=1e-4)
        np.testing.assert_array_equal(found.argmax(1), expected[:size].argmax(1))


def test_keras(trained, images, expected, tmp_path, capsys):
    from vit_train import class_names, load_model

    model = load_model(export(trained, "keras", tmp_path / "new folder" / "model.keras"))
    assert "vit_train.load_model loads it, plain Keras lacks its layers" in capsys.readouterr().err
    check(model.predict_on_batch, images, expected)
    assert list(class_names(model)) == NAMES


@pytest.mark.slow
def test_saved_model(trained, images, expected, tmp_path):
    import tensorflow as tf

    loaded = tf.saved_model.load(export(trained, "saved_model", tmp_path / "model"))
    serve = loaded.signatures["serving_default"]
    check(lambda batch: serve(images=tf.constant(batch))["probabilities"], images, expected)
    assert [name.decode() for name in loaded.signatures["class_names"]()["class_names"].numpy()] == NAMES


@pytest.mark.slow
def test_onnx(trained, images, expected, tmp_path):
    import onnx
    import onnxruntime

    path = export(trained, "onnx", tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(path)
    check(lambda batch: session.run(None, {"images": batch})[0], images, expected)
    assert json.loads(session.get_modelmeta().custom_metadata_map["class_names"]) == NAMES
    onnx.checker.check_model(path, full_check=True)


@pytest.mark.slow
def test_litert(trained, images, expected, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path = export(trained, "litert", tmp_path / "model.tflite")
    runner = Interpreter(path).get_signature_runner("serving_default")
    check(lambda batch: runner(images=batch)["probabilities"], images, expected)
    assert zipfile.ZipFile(path).read("labels.txt").decode().split() == NAMES


@pytest.mark.slow
def test_a_run_in_bfloat16_is_exported_in_float32(made, tmp_path):
    import keras

    from vit_train import load_model
    from vit_train.config.compose import load_config
    from vit_train.models import build, preprocessing

    run = made("18-00-00.1-digits-vit")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        config = load_config(["model.depth=1", "model.image_size=16", "model.patch_size=8", "model.head_units=[]"])
        network = build.build_model(config.model, 3)
        preprocessing.set_statistics(network, np.full(3, 100.0), np.full(3, 50.0**2))
        model = preprocessing.with_preprocessing(network, (8, 8), tuple("abc"))
        model.save(run.model)
    finally:
        keras.config.set_dtype_policy("float32")
    exported = load_model(export(run, "keras", tmp_path / "model.keras"))
    assert "bfloat16" not in exported.to_json()
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    expected = np.asarray(keras.ops.softmax(model.predict(images, verbose=0)))
    assert 0 < np.abs(exported.predict(images, verbose=0) - expected).max() < 0.02


def test_nothing_is_overwritten(trained, tmp_path, capsys):
    place = tmp_path / "model.onnx"
    place.write_text("mine")
    assert vit_runs(["export", str(trained.path), "--format", "onnx", "--output", str(place)]) == 2
    assert capsys.readouterr().err == (
        f"vit-runs: {place}: is there already; remove it, or name another place with --output\n"
    )
    assert place.read_text() == "mine"


def test_what_is_not_installed_is_named(trained, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if "onnx" in name else find(name, *rest))
    assert vit_runs(["export", str(trained.path), "--format", "onnx"]) == 2
    assert capsys.readouterr().err == (
        "vit-runs: --format onnx: needs onnx, tf2onnx, onnxruntime; pip install 'vit-train[export]'\n"
    )
    assert not (trained.path / "exports").exists()


def test_a_format_that_gives_something_else_is_not_kept(trained, tmp_path, monkeypatch, capsys):
    from vit_train.runs import formats

    def wrong(path, images):
        return {"probabilities": np.full((len(images), 10), 0.1, np.float32)}

    monkeypatch.setitem(formats.FORMATS, "keras", formats.Format(formats.write_keras, wrong))
    assert vit_runs(["export", str(trained.path), "--format", "keras", "--output", str(tmp_path / "x.keras")]) == 1
    assert capsys.readouterr().err == (
        "vit-runs: --format keras: cannot express this model (what it computes differs from the model's "
        "probabilities); try another format\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_place_that_takes_no_file_is_a_sentence(trained, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "model.keras"
    assert vit_runs(["export", str(trained.path), "--format", "keras", "--output", str(place)]) == 2
    assert capsys.readouterr().err.startswith(f"vit-runs: {place}: cannot be written (")
