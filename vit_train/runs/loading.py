"""A run's model, ready to use."""

import zipfile
from typing import Any

from vit_train.config.own import ACTIVE
from vit_train.config.schema import ComputeConfig, Config
from vit_train.console import say
from vit_train.errors import CheckpointError
from vit_train.files import is_there
from vit_train.machine import backend
from vit_train.rundir import checkpoint, records
from vit_train.rundir.layout import RunDir

# What works for every run wherever it was trained, and takes no accelerator from one that is training.
ANYWHERE = ComputeConfig(
    backend="tensorflow", precision="float32", devices="cpu", kernels="auto", batch_parts=1, profile_steps=0
)


def load(run: RunDir, compute: ComputeConfig | None = ANYWHERE) -> tuple[Any, tuple[str, ...]]:
    """(the model of model.keras, its class names), with Keras set up as `compute` says, or as it is if that is None.

    The model computes in the precision that it was trained in. Without model.keras, as before a run's end, it is made
    of the best weights in the newest checkpoint, which is said. Raises CheckpointError if there is neither, or what is
    there cannot be loaded, and ConfigError if the backend is not installed or the run needs a plugin.
    """
    records.require_plugins(run)
    if not is_there(run.model):
        return _best_so_far(run, compute)
    try:
        if compute is not None:
            backend.configure(compute, seed=0)
        if ACTIVE.get().files:
            from vit_train.models import build

            build.register_layers(records.load_config(run).model)
        from vit_train.models import preprocessing, saved

        model = saved.load(run.model)
        return model, preprocessing.class_names_of(model)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise CheckpointError(
            f"{run.model}: cannot be loaded ({reason}); vit-runs repair makes it again from the checkpoint"
        ) from error


def _best_so_far(run: RunDir, compute: ComputeConfig | None) -> tuple[Any, tuple[str, ...]]:
    found, _ = checkpoint.load(run.checkpoints)
    if found is None or not found.best:
        raise CheckpointError(f"{run.model}: there is no such file, nor a checkpoint that has the weights of an epoch")
    config = records.load_config(run)
    if compute is not None:
        backend.configure(compute, seed=0)
    from vit_train.models import build, preprocessing
    from vit_train.training import state

    names, size = _classes(run, config)
    kept = next((len(array) for name, array in found.best.items() if name.endswith("/logits/examples")), 0)
    network = build.build_model(config.model, len(names), config.head, kept, config.dataset.fitting.channels)
    state.assign(found.best, ("model", network.variables))
    network.get_layer("normalization").finalize_state()
    epochs = f"{len(found.progress['rows'])} of {config.train.epochs} epochs"
    say(f"note: {run.path}: has no model.keras; these are its best weights of the first {epochs}")
    return preprocessing.with_preprocessing(network, size, names, config.dataset.fitting), names


def _classes(run: RunDir, config: Config) -> tuple[tuple[str, ...], tuple[int, int]]:
    """(the class names, (height, width) of the images): of environment.json, or of the data set if it is older."""
    try:
        values = records.read_environment(run)
        height, width = values["image_size"]
        return tuple(map(str, values["class_names"])), (height, width)
    except (CheckpointError, ValueError, TypeError, KeyError):
        from vit_train.data.sources import load_dataset

        dataset = load_dataset(config)
        return dataset.class_names, dataset.train.size
