"""The formats of an export: writing each, and running it with its own runtime.

`model` goes from uint8 images [B, H, W, 3] to float32 probabilities [B, K]; `names` are its K classes, in order.
"""

import json
import logging
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vit_train.machine.backend import stderr_held_back
from vit_train.models.preprocessing import fit_of
from vit_train.text import one_line

Names = tuple[str, ...]


def write_keras(model: keras.Model, names: Names, path: Path) -> None:
    """A Keras file, to be loaded with `vit_train.load_model`; its layer class_names holds the names."""
    model.save(path)


def run_keras(path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities by Keras."""
    return np.asarray(keras.saving.load_model(path, compile=False).predict_on_batch(images))


def write_saved_model(model: keras.Model, names: Names, path: Path) -> None:
    """A TensorFlow SavedModel with the signatures `serving_default` (and `serve`, the same) and `class_names`."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", _serve(model), input_signature=[_images(model)])
    archive.add_endpoint("class_names", lambda: {"class_names": tf.constant(names)}, input_signature=[])
    archive.write_out(path, verbose=False)


def run_saved_model(path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities by TensorFlow."""
    loaded = tf.saved_model.load(path)
    return np.asarray(loaded.signatures["serving_default"](images=tf.constant(images))["probabilities"])


def write_onnx(model: keras.Model, names: Names, path: Path) -> None:
    """An ONNX file of opset 18 whose metadata property class_names holds the names as a JSON list, and fit how
    pictures become square."""
    import onnx
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # tf2onnx would make an input of every constant that the function has from outside, such as the channels' mean.
    function = tf.function(_serve(model), input_signature=[_images(model)]).get_concrete_function()
    frozen = convert_variables_to_constants_v2(function)
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what it has to say shows when the file is run
    exported, _ = tf2onnx.convert.from_function(
        tf.function(lambda images: {"probabilities": frozen(images)[0]}),
        [_images(model)],
        opset=18,
        custom_op_handlers={"Erfc": (_erfc, [])},
    )
    onnx.helper.set_model_props(exported, {"class_names": json.dumps(names, ensure_ascii=False), "fit": fit_of(model)})
    onnx.save(exported, path)


def _erfc(graph: Any, node: Any, name: str, _: list[Any]) -> None:
    """erfc(x) = 1 - erf(x), for TensorFlow's exact GELU; ONNX has only the latter."""
    shape, dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    one = graph.make_const(f"{name}_one", np.ones(1, np.float32)).output[0]
    erf = graph.make_node("Erf", node.input, shapes=[shape], dtypes=[dtype]).output[0]
    graph.remove_node(name)
    graph.make_node("Sub", [one, erf], name=name, outputs=node.output, shapes=[shape], dtypes=[dtype])


def run_onnx(path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], {"images": images})[0])


def write_litert(model: keras.Model, names: Names, path: Path) -> None:
    """A LiteRT (TensorFlow Lite) file; labels.txt, a name a line, is attached as its metadata are: `unzip` finds it."""
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(model, names, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("labels.txt", "".join(f"{one_line(name)}\n" for name in names))


def run_litert(path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities by the LiteRT interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    with stderr_held_back():  # it tells which delegate it made
        return np.asarray(Interpreter(str(path)).get_signature_runner()(images=images)["probabilities"])


def _serve(model: keras.Model) -> Any:
    return lambda images: {"probabilities": model(images, training=False)}


def _images(model: keras.Model) -> tf.TensorSpec:
    return tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="images")


@dataclass(frozen=True)
class Format:
    """How a model is written to a path, and how images give probabilities there."""

    write: Callable[[keras.Model, Names, Path], None]
    run: Callable[[Path, np.ndarray], np.ndarray]


FORMATS = {
    "keras": Format(write_keras, run_keras),
    "saved_model": Format(write_saved_model, run_saved_model),
    "onnx": Format(write_onnx, run_onnx),
    "litert": Format(write_litert, run_litert),
}
