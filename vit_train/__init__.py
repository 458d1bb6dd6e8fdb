"""Trains Vision Transformers on small images. The command is `vit-train`; this is its surface for Python.

Importing this package imports neither TensorFlow nor Keras. What goes wrong raises an error of `vit_train.errors`, with
the sentence that the command would print.
"""

from collections.abc import Iterable, Sequence
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vit_train.config.augmentation import AugmentConfig as AugmentKeys
    from vit_train.config.convert import key
    from vit_train.config.dataset import AnyDatasetConfig as DatasetKeys
    from vit_train.config.models import AnyModelConfig as ModelKeys
    from vit_train.config.registration import augment, dataset, metric, model
    from vit_train.config.schema import Config
    from vit_train.data.images import Dataset, Examples
    from vit_train.report.writer import Report
    from vit_train.runs.opened import Run
    from vit_train.runs.predicted import Picture, Predicted

__version__ = "0.1.0"

__all__ = [
    "AugmentKeys", "Dataset", "DatasetKeys", "Examples", "ModelKeys", "Predicted", "Run", "__version__", "augment",
    "class_names", "dataset", "key", "load_config", "load_model", "load_run", "metric", "model", "predict", "train",
]  # fmt: skip

# For plugins (docs/plugins.md) and for annotations; each is imported when it is first asked for.
_LATER = {
    "AugmentKeys": "config.augmentation:AugmentConfig",
    "Dataset": "data.images:Dataset",
    "DatasetKeys": "config.dataset:AnyDatasetConfig",
    "Examples": "data.images:Examples",
    "ModelKeys": "config.models:AnyModelConfig",
    "Predicted": "runs.predicted:Predicted",
    "Run": "runs.opened:Run",
    "augment": "config.registration:augment",
    "dataset": "config.registration:dataset",
    "key": "config.convert:key",
    "metric": "config.registration:metric",
    "model": "config.registration:model",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _LATER[name].partition(":")
    return getattr(import_module(f"vit_train.{module}"), attribute)


def __dir__() -> list[str]:
    return [*globals(), *_LATER]


def train(overrides: Sequence[str] = (), *, config: str | PathLike[str] | None = None) -> "Report":
    """Trains as `vit-train` does with the arguments `overrides`, such as ["dataset=digits", "train.epochs=3"].

    `config` is the file of --config. Returns what report.json holds; the report's `run_dir` is the run directory. It
    prints what the command prints to stderr. An interrupt, Ctrl-C or that of a notebook, saves the state and raises
    Interrupted; in another thread than the main one no signal is looked at. One process trains on one backend only.
    """
    from vit_train import run
    from vit_train.config import plugins
    from vit_train.errors import ConfigError

    call = f"vit_train.train({list(overrides)!r}{f', config={str(config)!r}' if config is not None else ''})"
    with plugins.named_in(overrides):
        found = load_config(overrides, config=config)
        if found.compute.devices == "cluster":
            raise ConfigError("compute.devices=cluster: is for the command vit-train, started in each process")
        return run.train(found, call)


def load_config(overrides: Sequence[str] = (), *, config: str | PathLike[str] | None = None) -> "Config":
    """The config that `train` would take with the same arguments, of which resume=RUN may be one."""
    from vit_train.config import plugins
    from vit_train.rundir import resume

    with plugins.named_in(overrides):
        return resume.load(overrides, None if config is None else str(config))


def load_model(path: str | PathLike[str]) -> Any:
    """Loads a run's model.keras: a Keras model from uint8 images [B, H, W, 3] to float32 logits [B, classes]."""
    from pathlib import Path

    from vit_train.models import saved

    return saved.load(Path(path))


def class_names(model: Any) -> tuple[str, ...]:
    """The name of each class, in the order of the logits, from a model of `load_model`."""
    from vit_train.models import preprocessing

    return preprocessing.class_names_of(model)


def load_run(
    run: str | PathLike[str], *, plugin: str | Sequence[str] = (), outputs: str | PathLike[str] = "outputs"
) -> "Run":
    """A run with its config, history, predictions, report and model; a notebook shows its scores and curves.

    `run` is what vit-runs takes: a path, a part of the name that no other run in `outputs` has, or "latest". `plugin`
    names the file, or files, that it was made with by plugin=FILE.
    """
    from vit_train.runs import opened

    return opened.open_run(run, [plugin] if isinstance(plugin, str) else plugin, outputs)


def predict(model: Any, pictures: "Picture | Iterable[Picture]") -> "Predicted":
    """The probabilities of all classes for pictures, as `vit-runs predict` has them, which reads them as training does.

    `model` is of `load_run` or `load_model`, or what `load_run` takes. `pictures` are paths of files or of folders with
    files, or arrays uint8 [H, W, 3] or [N, H, W, 3] of any size, RGB from 0 to 255; one, or many of them. Raises
    DataError for the first that cannot be read.
    """
    from vit_train.runs import opened, predicted

    if isinstance(model, str | PathLike):
        model = load_run(model)
    return predicted.predict(model.model if isinstance(model, opened.Run) else model, pictures)
