"""Which run to continue with, and with which config."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vit_train.config.compose import load_config, parse
from vit_train.config.convert import keys_of, show, values_of
from vit_train.config.schema import Config
from vit_train.console import say
from vit_train.errors import CheckpointError, ConfigError
from vit_train.files import is_there
from vit_train.rundir import records
from vit_train.rundir.find import all_runs, is_run
from vit_train.rundir.layout import RunDir


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
    if not is_run(run.path):
        raise ConfigError(f"resume={asked}: is not a run directory, it has no config.yaml")
    saved, wanted = records.load_config(run), load_config(others, str(run.config), follow=False)
    if differences := _differences(saved, values_of(wanted)):
        was = ", ".join(f"{key}={show(values_of(saved)[key])}" for key in differences)
        raise ConfigError(f"resume={asked}: the run has {was}, which cannot change; start a new run to change it")
    if run.finished and wanted.train.epochs <= saved.train.epochs:
        raise ConfigError(f"resume={asked}: the run is finished; train.epochs above {saved.train.epochs} extends it")
    return dataclasses.replace(wanted, resume=asked)


def _newest_unfinished(config: Config) -> str | None:
    """The newest unfinished run of the same config; one that cannot be read is noted and passed over."""
    wanted = values_of(config)
    for run in reversed(all_runs(Path(config.outputs))):
        try:
            if (
                not run.finished
                and is_there(run.config)
                and not _differences(records.load_config(run, newer=False), wanted)
            ):
                return str(run.path)
        except (CheckpointError, ConfigError) as error:
            say(f"note: {error}; resume=auto passes it over")
    return None


def _differences(saved: Config, theirs: dict[str, Any]) -> list[str]:
    """The keys that are not as in `theirs`, and may not change when a run continues."""
    may_change = {name for name, field, _ in keys_of(Config) if field.metadata["may_change"]}
    return [
        key
        for key, value in values_of(saved).items()
        if key not in may_change and (key not in theirs or value != theirs[key])
    ]
