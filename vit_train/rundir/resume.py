"""Which run to continue with, and with which config."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from vit_train.config.compose import load_config, parse
from vit_train.config.convert import show, values_of
from vit_train.config.schema import Config
from vit_train.errors import ConfigError
from vit_train.rundir.layout import RunDir

# What may differ when a run continues: what leads further than the run has come, and what cannot change a result, or by
# rounding only.
FREE = (
    "train.epochs",
    "train.skip_nonfinite_steps",
    "train.checkpoint.every",
    "dataset.root",
    "compute.devices",
    "logging.tensorboard",
    "logging.mlflow",
    "outputs",
    "figures",
    "resume",
)


def load(overrides: Sequence[str], file: str | None = None) -> Config:
    """The config for command-line arguments, among which may be resume=RUN or resume=auto; raises ConfigError.

    With resume=RUN it is the run's own, and what is given besides must agree with it. With resume=auto it is the one
    given, and `resume` in it names the newest unfinished run of the same config, or is None if there is none.
    """
    others = [text for text in overrides if parse(text).key_or_group != "resume"]
    # Composing takes a tenth of a second, so only who asks to resume pays for reading the key apart from the others.
    asked = (
        load_config([text for text in overrides if text not in others]).resume if others != list(overrides) else None
    )
    if asked is None:
        return load_config(others, file)
    if asked == "auto":
        config = load_config(others, file)
        return dataclasses.replace(config, resume=_newest_unfinished(config))
    run = RunDir(Path(asked))
    if not run.config.is_file():
        raise ConfigError(f"resume={asked}: is not a run directory, it has no config.yaml")
    saved, wanted = load_config([], str(run.config)), load_config(others, str(run.config))
    if differences := [key for key in _differences(saved, wanted) if key not in FREE]:
        was = ", ".join(f"{key}={show(values_of(saved)[key])}" for key in differences)
        raise ConfigError(f"resume={asked}: the run has {was}, which cannot change; start a new run to change it")
    if run.finished and wanted.train.epochs <= saved.train.epochs:
        raise ConfigError(f"resume={asked}: the run is finished; train.epochs above {saved.train.epochs} extends it")
    return dataclasses.replace(wanted, resume=asked)


def _newest_unfinished(config: Config) -> str | None:
    for path in sorted(Path(config.outputs).glob("*/*/config.yaml"), reverse=True):
        run = RunDir(path.parent)
        if not run.finished and not set(_differences(load_config([], str(path)), config)) - set(FREE):
            return str(run.path)
    return None


def _differences(a: Config, b: Config) -> list[str]:
    theirs = values_of(b)
    return [key for key, value in values_of(a).items() if key not in theirs or value != theirs[key]]
