"""The formats of an export: writing each, and running it with its own runtime.

`model` goes from uint8 images [B, H, W, C] to float32 probabilities [B, K] or, where it has a rule for unknown images,
to {"probabilities": the same, "score": float32 [B]}; `names` are its K classes, in order.
"""

import dataclasses
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

from vit_train.machine.streams import stderr_held_back
from vit_train.models.preprocessing import fitting_of
from vit_train.rundir.unknown import rule_of
from vit_train.text import one_line

Names = tuple[str, ...]
Outputs = dict[str, np.ndarray]


def write_keras(model: keras.Model, names: Names, path: Path) -> None:
    """A Keras file, to be loaded with `vit_train.load_model`; its layer class_names holds the names."""
    model.save(path)


def run_keras(path: Path, images: np.ndarray) -> Outputs:
    """The outputs by Keras."""
    return outputs_of(keras.saving.load_model(path, compile=False), images)


def write_saved_model(model: keras.Model, names: Names, path: Path) -> None:
    """A TensorFlow SavedModel with the signatures `serving_default` (and `serve`, the same) and `class_names`.

    With a rule for unknown images there is `unknown`, too, which gives its parts.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", _serve(model), input_signature=[_images(model)])
    archive.add_endpoint("class_names", lambda: {"class_names": tf.constant(names)}, input_signature=[])
    if rule := rule_of(model):
        parts = dataclasses.asdict(rule)
        archive.add_endpoint(
            "unknown", lambda: {name: tf.constant(value) for name, value in parts.items()}, input_signature=[]
        )
    archive.write_out(path, verbose=False)


def run_saved_model(path: Path, images: np.ndarray) -> Outputs:
    """The outputs by TensorFlow."""
    loaded = tf.saved_model.load(path)
    found = loaded.signatures["serving_default"](images=tf.constant(images))
    return {name: np.asarray(values) for name, values in found.items()}


def write_onnx(model: keras.Model, names: Names, path: Path) -> None:
    """An ONNX file of opset 18 whose metadata property class_names holds the names as a JSON list, fit and
    pad_colour how pictures become square; unknown is the rule for unknown images, in JSON, if there is one."""
    import onnx
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # tf2onnx would make an input of every constant that the function has from outside, such as the channels' mean.
    function = tf.function(_serve(model), input_signature=[_images(model)]).get_concrete_function()
    frozen = convert_variables_to_constants_v2(function)
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what it has to say shows when the file is run
    outputs = sorted(function.structured_outputs)  # as the frozen function has them
    exported, _ = tf2onnx.convert.from_function(
        tf.function(lambda images: dict(zip(outputs, frozen(images), strict=True))),
        [_images(model)],
        opset=18,
        custom_op_handlers={"Erfc": (_erfc, [])},
    )
    rule = rule_of(model)
    unknown = {"unknown": json.dumps(dataclasses.asdict(rule))} if rule else {}
    fitting = fitting_of(model)
    fit = {"fit": fitting.fit, "pad_colour": fitting.pad_colour}
    properties = {"class_names": json.dumps(names, ensure_ascii=False), **fit, **unknown}
    onnx.helper.set_model_props(exported, properties)
    onnx.save(exported, path)


def _erfc(graph: Any, node: Any, name: str, _: list[Any]) -> None:
    """erfc(x) = 1 - erf(x), for TensorFlow's exact GELU; ONNX has only the latter."""
    shape, dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    one = graph.make_const(f"{name}_one", np.ones(1, np.float32)).output[0]
    erf = graph.make_node("Erf", node.input, shapes=[shape], dtypes=[dtype]).output[0]
    graph.remove_node(name)
    graph.make_node("Sub", [one, erf], name=name, outputs=node.output, shapes=[shape], dtypes=[dtype])


def run_onnx(path: Path, images: np.ndarray) -> Outputs:
    """The outputs by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def write_litert(model: keras.Model, names: Names, path: Path) -> None:
    """A LiteRT (TensorFlow Lite) file; labels.txt, a name a line, is attached as its metadata are: `unzip` finds it.

    So is unknown.json, if there is a rule for unknown images.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(model, names, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("labels.txt", "".join(f"{one_line(name)}\n" for name in names))
        if rule := rule_of(model):
            file.writestr("unknown.json", json.dumps(dataclasses.asdict(rule)))


def run_litert(path: Path, images: np.ndarray) -> Outputs:
    """The outputs by the LiteRT interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    with stderr_held_back():  # it tells which delegate it made
        return dict(Interpreter(str(path)).get_signature_runner("serving_default")(images=images))


def outputs_of(model: keras.Model, images: Any) -> dict[str, Any]:
    """What the model computes, by name."""
    found = model(images, training=False)
    return found if isinstance(found, dict) else {"probabilities": found}


def _serve(model: keras.Model) -> Any:
    return lambda images: outputs_of(model, images)


def _images(model: keras.Model) -> tf.TensorSpec:
    return tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="images")


@dataclass(frozen=True)
class Format:
    """How a model is written to a path, and how images give probabilities there."""

    write: Callable[[keras.Model, Names, Path], None]
    run: Callable[[Path, np.ndarray], Outputs]


FORMATS = {
    "keras": Format(write_keras, run_keras),
    "saved_model": Format(write_saved_model, run_saved_model),
    "onnx": Format(write_onnx, run_onnx),
    "litert": Format(write_litert, run_litert),
}
