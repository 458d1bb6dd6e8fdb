"""What in a sweep's arguments is for the sweep itself, and what for its runs."""

import re
from collections.abc import Sequence
from typing import Any

from vit_train.config.compose import parse
from vit_train.config.convert import convert, nearest
from vit_train.config.groups import groups, options, read_yaml
from vit_train.config.schema import SweepConfig
from vit_train.errors import ConfigError


def read(arguments: Sequence[str]) -> tuple[SweepConfig, list[str]]:
    """The settings of the sweep, and the overrides of its runs, among them those of `sweep=NAME`.

    Raises ConfigError for a setting that does not exist, has a wrong value, or cannot be in a sweep.
    """
    settings, ready, overrides = dict[str, Any](), dict[str, Any](), list[str]()
    for text in arguments:
        override = parse(text, several=True)
        group, _, name = override.key_or_group.partition(".")
        if group in ("hydra/launcher", "sweep/launcher"):
            name = next((each for each in options("sweep/launcher") if each in str(override.value())), "NAME")
            raise ConfigError(f"{text}: is not how launchers are chosen here; use sweep.launcher={name}")
        if group in ("outputs", "resume") and (group == "resume" or override.is_sweep_override()):
            raise ConfigError(f"{text}: cannot be part of a sweep; {_INSTEAD[group]}")
        if group == "plugin":
            continue  # it is loaded, and each job is told of it; no file of the sweep's shall name code
        if group != "sweep":
            overrides.append(text)
        elif override.is_sweep_override():
            raise ConfigError(f"{text}: must have one value")
        elif name:
            settings[name] = override.value()
        else:
            ready = _ready(text, override.value())
    own = {key.removeprefix("sweep."): ready.pop(key) for key in list(ready) if key.startswith("sweep.")}
    given = {parse(text, several=True).key_or_group: text for text in overrides}
    overrides += [f"{key}={_filled(str(value), ready | given)}" for key, value in ready.items() if key not in given]
    return convert(SweepConfig, _with_launcher(read_yaml("sweep") | own | settings), "sweep."), overrides


def _filled(value: str, values: dict[str, Any]) -> str:
    """A value of a ready sweep with those of other keys for ${KEY}: as many folds as the command says, each once."""

    def fill(match: re.Match[str]) -> str:
        text = str(values[match[1]])
        if "=" in text and parse(text, several=True).is_sweep_override():
            raise ConfigError(f"{text}: must have one value with this sweep=")
        return text.split("=", 1)[-1]

    return re.sub(r"\$\{([\w.]+)\}", fill, value)


def _with_launcher(settings: dict[str, Any]) -> dict[str, Any]:
    """Puts the section of the launcher in the place of its name, with what `launcher.KEY` sets in it."""
    given = {key.removeprefix("launcher."): settings[key] for key in settings if key.startswith("launcher.")}
    rest = {key: value for key, value in settings.items() if not key.startswith("launcher.")}
    name, names = rest["launcher"], options("sweep/launcher")
    if name not in names:
        raise ConfigError(f"sweep.launcher={name}: must be one of {', '.join(names)}{nearest(str(name), names)}")
    return rest | {"launcher": read_yaml(f"sweep/launcher/{name}") | given}


_INSTEAD = {
    "outputs": "its runs are in one folder, so set outputs=DIR",
    "resume": "sweep.resume=DIR continues with a sweep, sweep.resume=auto with the newest of the same command",
}


def _ready(text: str, name: object) -> dict[str, Any]:
    if name not in (names := groups()["sweep"]):
        raise ConfigError(f"{text}: must be one of {', '.join(names)}{nearest(str(name), names)}")
    return read_yaml(f"sweep/{name}")
