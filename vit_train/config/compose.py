"""Command-line overrides and conf/*.yaml -> Config, through Hydra. Every mistake becomes one sentence."""

import copy
import functools
import itertools
import math
import typing
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vit_train.config import plugins
from vit_train.config.arguments import as_grammar, meant
from vit_train.config.convert import convert, flattened, former_names, keys_of, nearest, unknown_key
from vit_train.config.follow import with_model_of
from vit_train.config.groups import config_folder, groups, line_of, own_file, own_folders
from vit_train.config.saved import VERSION, reason
from vit_train.config.saved import read as read_saved
from vit_train.config.schema import Config
from vit_train.errors import ConfigError
from vit_train.text import as_they_stand, quoted_value

MOST_RUNS = 1000  # of a sweep; checking a config takes some hundredths of a second


def load_config(overrides: Sequence[str] = (), file: str | None = None, *, follow: bool = True) -> Config:
    """The config for command-line arguments such as ["dataset=digits", "model.depth=2"]; raises ConfigError.

    With `file`, a run's resolved config.yaml takes the place of the defaults; only keys can be overridden then. A file
    that leaves keys out goes over the defaults, and may name options of groups, as in `model: resnet50v2`. With an
    argument init=FILE the model follows that file, unless `follow` is false.
    """
    for text in overrides:
        _check(text, parse(text))
    if file is not None:
        return _from_file(Path(file), overrides, follow)
    try:
        values: typing.Any = OmegaConf.to_container(_composed(overrides), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{' '.join(overrides)}: cannot be read: {_first_line(error)}") from None
    _require_init(values)
    plugins.require_named(values, "this recipe")
    try:
        return convert(Config, _following(values, overrides) if follow else values)
    except ConfigError as error:
        raise _with_own_file(error, overrides) from None


def _composed(overrides: Sequence[str]) -> typing.Any:
    """The defaults with options and keys over them, as OmegaConf has them: references to other keys are still such."""
    typed = [(as_grammar(text).lstrip("+"), parse(text)) for text in overrides]
    options = tuple(text for text, override in typed if override.key_or_group in groups())
    try:
        # What users have added may be edited meanwhile; Hydra takes a tenth of a second.
        values = _chosen.__wrapped__(options) if own_folders() else copy.deepcopy(_chosen(options))
        for _, override in typed:
            if override.key_or_group not in groups():
                _set(values, override)
        return values
    except yaml.MarkedYAMLError as error:  # of a recipe that someone has edited
        name = error.problem_mark.name if error.problem_mark else config_folder()
        raise ConfigError(f"{name}: cannot be read ({reason(error)})") from None
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{' '.join(overrides)}: cannot be read: {_first_line(error)}") from None


@functools.lru_cache(maxsize=100)
def _chosen(options: tuple[str, ...]) -> typing.Any:
    """The defaults with options over them."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("config", [*_own_search_path(), *options])


def _set(values: typing.Any, override: Override) -> None:
    """Sets a key whether it exists or not, as Hydra's ++ does; convert says which may."""
    OmegaConf.update(values, override.key_or_group, override.value(), merge=True, force_add=True)


def _require_init(values: typing.Any) -> None:
    if values["init"] == "REQUIRED":  # OmegaConf's own mark of what is missing would not replace the default
        raise ConfigError("init: is missing, and this recipe starts from trained weights; set init=RUN or init=FILE")


def _own_search_path() -> list[str]:
    """The argument by which Hydra looks for options in the user's folders, after the package's."""
    urls = [quoted_value(f"file://{path}") for path in own_folders()]
    return [f"hydra.searchpath=[{','.join(urls)}]"] if urls else []


def _key_of(error: ConfigError) -> str:
    return str(error).split("=")[0].split(":")[0]


def _with_own_file(error: ConfigError, overrides: Sequence[str]) -> ConfigError:
    """The error with file and line, if it is about a key that a file of the user's sets and no argument does."""
    key = _key_of(error)
    arguments = {override.key_or_group: override.value() for override in map(parse, overrides)}
    if key in arguments:
        return error
    for group, option in arguments.items():
        path = own_file(group, str(option)) if group in groups() else None
        if path and (line := line_of(path, key) or line_of(path, key.removeprefix(f"{group}."))):
            return ConfigError(f"{path}:{line}: {error}")
    return error


def _following(values: typing.Any, overrides: Sequence[str]) -> typing.Any:
    """The values, with the model of init=FILE if they have one."""
    if isinstance(values.get("init"), str) and isinstance(values.get("model"), dict):
        chosen = [parse(text).key_or_group for text in overrides]
        values["model"] = with_model_of(values["init"], values["model"], chosen)
        fitted = values.get("head", {}).get("name", "trained") != "trained"  # to the features, without layers between
        if fitted and "head_units" in values["model"] and "model.head_units" not in chosen:
            values["model"]["head_units"] = []
    return values


def _from_file(path: Path, overrides: Sequence[str], follow: bool) -> Config:
    """The config of a config.yaml, of whatever version, with keys overridden; an error of the file's own names it."""
    saved = read_saved(path)
    if saved.partial is not None:
        return _over_defaults(path, saved.partial, overrides, follow)
    saved.note_if_newer()
    keys = []
    try:
        values = OmegaConf.create(as_they_stand(saved.values))
        for override in map(parse, overrides):
            keys.append(override.key_or_group)
            _set(values, override)
        plain = OmegaConf.to_container(values, resolve=True)
        plugins.require_named(plain, str(path))
        # The file's own keys are resolved, also those of a model that once followed an init= of its own.
        return convert(Config, _following(plain, overrides) if follow and "init" in keys else plain)
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {_first_line(error)}") from None
    except ConfigError as error:
        if str(error).startswith((*keys, str(path))):
            raise
        raise ConfigError(f"{path}: {error}") from None


def _over_defaults(path: Path, given: dict[str, typing.Any], overrides: Sequence[str], follow: bool) -> Config:
    """The config of a file that says a part, with options and keys overridden; its mistakes are said with the line."""
    options = {group: name for group, name in given.items() if group in groups() and isinstance(name, str)}
    keys = {key: value for key, value in given.items() if key not in options}
    typed = [parse(text) for text in overrides]
    chosen = [text for text, override in zip(overrides, typed, strict=True) if override.key_or_group in groups()]
    try:
        for group, name in options.items():
            _check(f"{group}={name}", parse(f"{group}={name}"))
        taken = {override.key_or_group for override in typed}
        base = _composed([*(f"{group}={name}" for group, name in options.items() if group not in taken), *chosen])
        OmegaConf.set_struct(base, False)
        values = OmegaConf.merge(base, as_they_stand(keys))
        for override in typed:
            if override.key_or_group not in groups():
                _set(values, override)
        plain: typing.Any = OmegaConf.to_container(values, resolve=True)
        _require_init(plain)
        plugins.require_named(plain, str(path))
        said = [f"{name}=null" for name in (*options, *flattened(keys))]
        return convert(Config, _following(plain, [*said, *overrides]) if follow else plain)
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {_first_line(error)}") from None
    except ConfigError as error:
        key = _key_of(error)
        line = None if key in [override.key_or_group for override in typed] else line_of(path, key)
        raise ConfigError(f"{path}:{line}: {error}") if line else error from None


def to_yaml(config: Config) -> str:
    """The resolved config as YAML, with the version of the format."""
    return OmegaConf.to_yaml(OmegaConf.create(as_they_stand({"version": VERSION, **config.to_dict()})), resolve=True)


def parse(text: str, several: bool = False) -> Override:
    """One command-line argument, taken apart by Hydra's grammar; raises ConfigError if it is not KEY=VALUE.

    With `several` it may be one of a sweep, and have more than one value.
    """
    if "=" not in text and not text.startswith("~"):
        hint = (
            f"did you mean {' or '.join(options)}"
            if (options := meant(text))
            else "vit-train --help all lists all keys"
        )
        raise ConfigError(f"'{text}': is not KEY=VALUE; {hint}")
    try:
        return _parsed(as_grammar(text, several))
    except (HydraException, ValueError) as error:  # the latter for a number of thousands of digits
        raise ConfigError(f"'{text}': is not KEY=VALUE ({_first_line(error)}); quote special characters") from None


@functools.lru_cache(maxsize=10_000)
def _parsed(text: str) -> Override:
    return OverridesParser.create().parse_overrides([text])[0]


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """The arguments of every run of a sweep: all combinations of its lists, ranges, choices and globs over options.

    Raises ConfigError if there are none, or more than `MOST_RUNS`.
    """
    values = [choices(text) for text in overrides]
    if (runs := math.prod(map(len, values))) > MOST_RUNS:
        raise ConfigError(f"{' '.join(overrides)}: asks for {runs:,} runs; a sweep has at most {MOST_RUNS:,}")
    return [list(job) for job in itertools.product(*values)]


def choices(text: str) -> list[str]:
    """The arguments that a list, range, choice or glob stands for; raises ConfigError for none or endless ones."""
    override = parse(text, several=True)
    if not override.is_sweep_override():
        return [text]
    key, value = override.get_key_element(), typing.cast(object, override.value())  # Hydra leaves Glob out of its type
    options = groups().get(override.key_or_group, [])
    if isinstance(value, IntervalSweep):
        raise ConfigError(f"{text}: has no end of values; give a list KEY=A,B, or search it with sweep.trials=N")
    try:
        if isinstance(value, RangeSweep) and _length(value) > MOST_RUNS:
            raise ConfigError(f"{text}: has more than the {MOST_RUNS:,} values that a sweep can have")
        found = value.filter(options) if isinstance(value, Glob) else list(override.sweep_string_iterator())
    except (HydraException, ValueError, ArithmeticError) as error:
        raise ConfigError(f"{text}: cannot be counted through ({_first_line(error)}); give a list KEY=A,B") from None
    if not found:
        hint = f"; there are {', '.join(options)}" if options else ""
        raise ConfigError(f"{text}: stands for no value at all{hint}")
    return [f"{key}={choice}" for choice in found]


def _length(value: RangeSweep) -> float:
    """How many values a range has, roughly, and without counting through it."""
    return (float(value.stop or 0) - float(value.start or 0)) / float(value.step)


def _check(text: str, override: Override) -> None:
    """Finds what Hydra would let pass, or would say in many lines."""
    key, options = override.key_or_group, groups().get(override.key_or_group)
    if key.split(".")[0] == "sweep":
        raise ConfigError(f"{text}: is for a sweep; add -m")
    if override.package is not None or override.is_delete():
        raise ConfigError(f"{text}: keys cannot be moved or removed; set a value with KEY=VALUE")
    if override.is_sweep_override():
        raise ConfigError(f"{text}: asks for several runs; add -m, or write a list as KEY=[A,B]")
    if options is not None:
        _check_option(text, key, override.value(), options)
        return
    if now := former_names(Config).get(key):
        raise ConfigError(f"{text}: {key} is called {now} now; write {now}=VALUE")
    leaves = [name for name, _, _ in keys_of(Config)]
    if key not in leaves and not any(name.startswith(f"{key}.") for name in leaves):
        raise unknown_key(text, key, [*leaves, *groups()])


def _check_option(text: str, group: str, value: object, options: list[str]) -> None:
    if value not in options:
        raise ConfigError(f"{text}: must be one of {', '.join(options)}{nearest(str(value), options)}")
    own_file(group, str(value))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
