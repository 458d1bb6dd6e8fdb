"""Trains Vision Transformers on small images. The command is `vit-train`; this is its surface for Python.

Importing this package imports neither TensorFlow nor Keras.
"""

from os import PathLike
from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "class_names", "load_model"]


def load_model(path: str | PathLike[str]) -> Any:
    """Loads a run's model.keras: a Keras model from uint8 images [B, H, W, 3] to float32 logits [B, classes]."""
    import keras

    import vit_train.models.build
    import vit_train.models.preprocessing  # noqa: F401, both register the layers that the file refers to

    return keras.saving.load_model(path, compile=False)


def class_names(model: Any) -> tuple[str, ...]:
    """The name of each class, in the order of the logits, from a model of `load_model`."""
    names: tuple[str, ...] = model.get_layer("class_names").names
    return names
