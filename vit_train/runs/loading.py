"""A run's model, ready to use."""

import zipfile
from typing import Any

from vit_train import class_names, load_model
from vit_train.config.schema import ComputeConfig
from vit_train.errors import CheckpointError
from vit_train.machine import backend
from vit_train.rundir.layout import RunDir

# What works for every run wherever it was trained, and takes no accelerator from one that is training.
ANYWHERE = ComputeConfig(backend="tensorflow", precision="float32", devices="cpu", kernels="auto")


def load(run: RunDir, compute: ComputeConfig = ANYWHERE) -> tuple[Any, tuple[str, ...]]:
    """(the model of model.keras, its class names), with Keras set up as `compute` says.

    The model computes in the precision that it was trained in. Raises CheckpointError if there is no model, or none
    that can be loaded, and ConfigError if the backend is not installed.
    """
    if not run.model.is_file():
        raise CheckpointError(f"{run.model}: there is no such file; a run has it once it is completed")
    backend.configure(compute, seed=0)
    try:
        model = load_model(run.model)
        return model, class_names(model)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise CheckpointError(f"{run.model}: cannot be loaded ({reason}); the run has to be made again") from error
