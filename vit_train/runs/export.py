"""`vit-runs export`: a run's model for other programs."""

import argparse
import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from vit_train.console import put, say
from vit_train.errors import ConfigError, VitTrainError
from vit_train.rundir.find import find_run
from vit_train.rundir.layout import RunDir
from vit_train.rundir.unknown import rule_of
from vit_train.runs.loading import load

_NAMES = {"keras": "model.keras", "saved_model": "saved_model", "onnx": "model.onnx", "litert": "model.tflite"}
# What writing and checking a format takes besides TensorFlow.
_PACKAGES = {"onnx": ("onnx", "tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}
_TOLERANCE = 1e-4


def run(options: argparse.Namespace) -> int:
    """Writes the model from uint8 images to probabilities, checks it, and prints its path."""
    found, form = find_run(options.run, options.outputs), options.format
    output = options.output or found.path / "exports" / _NAMES[form]
    if output.exists():
        raise ConfigError(f"{output}: is there already; remove it, or name another place with --output")
    if missing := [name for name in _PACKAGES.get(form, ()) if importlib.util.find_spec(name) is None]:
        raise ConfigError(f"--format {form}: needs {', '.join(missing)}; pip install 'vit-train[export]'")
    export(found, form, output)
    if form == "keras":
        say("note: vit_train.load_model loads it, plain Keras lacks its layers; other programs take the other formats")
    put(str(output))
    return 0


def export(run: RunDir, form: str, output: Path) -> None:
    """Writes `output` once what is in it was seen to give the probabilities of the run's model.

    Raises CheckpointError if there is no model, ConfigError if `output` cannot be written, and VitTrainError if the
    format cannot express the model.
    """
    loaded, names = load(run)
    model = _with_probabilities(loaded, run)
    from vit_train.runs.formats import FORMATS, outputs_of

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as folder:
            part = Path(folder) / _NAMES[form]
            FORMATS[form].write(model, names, part)
            for size in (1, 7):
                images = np.random.default_rng(size).integers(0, 256, (size, *model.input_shape[1:]), dtype=np.uint8)
                expected = {name: np.asarray(found) for name, found in outputs_of(model, images).items()}
                _require_equal(FORMATS[form].run(part, images), expected)
            part.rename(output)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{output}: cannot be written ({reason}); name another place with --output") from error
    except Exception as error:  # what converters and runtimes raise is of every class
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise VitTrainError(f"--format {form}: cannot express this model ({reason}); try another format") from error


def _with_probabilities(model: Any, run: RunDir) -> Any:
    """The model with a softmax at its end, in float32 throughout; with a rule for unknown images, {name: output}.

    Weights are kept in float32 anyway: under bfloat16 only the policies of the layers say otherwise.
    """
    import keras

    if "mixed_bfloat16" in (config := model.to_json()):
        model = keras.models.model_from_json(config.replace("mixed_bfloat16", "float32"))
        model.load_weights(run.model)
    probabilities = keras.layers.Softmax(dtype="float32", name="probabilities")(model.output)
    if (rule := rule_of(model)) is None:
        return keras.Model(model.input, probabilities, name=model.name)
    from vit_train.models.preprocessing import ImageScore

    scores = ImageScore(rule.score, dtype="float32", name="score")(model.output)
    return keras.Model(model.input, {"probabilities": probabilities, "score": scores}, name=model.name)


def _require_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, values in expected.items():
        if found[name].shape != values.shape or not np.abs(found[name] - values).max() < _TOLERANCE:
            raise ValueError(f"what it computes differs from the model's {name}")
