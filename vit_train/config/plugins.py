"""Models and data sets of one's own: Python files that the command names by plugin=FILE, and nothing else does.

A file is code, and a run directory is data: what a config.yaml, a recipe or a sweep.json names is never executed.
Whoever uses a run that was made with such a file names it again, and its sha256 must be that of then.
"""

import dataclasses
import hashlib
import importlib.util
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from vit_train.config.arguments import as_grammar, understood
from vit_train.config.convert import convert, describe, hints_of
from vit_train.config.groups import built_in
from vit_train.config.models import AnyModelConfig
from vit_train.config.own import ACTIVE, Own
from vit_train.config.schema import AnyDatasetConfig
from vit_train.errors import ConfigError, VitTrainError
from vit_train.files import read_regular
from vit_train.text import one_line, quoted_value

F = TypeVar("F", bound=Callable[..., Any])

_MOST_BYTES = 2**20
_BACKENDS = ("keras", "tensorflow", "jax", "torch")
_BASES: dict[str, type] = {"model": AnyModelConfig, "dataset": AnyDatasetConfig}
# The values of keys that every model or data set has from the start on, where a file does not give its own.
_USUAL = {"root": None, "fraction": 1.0, "validation": 0.1, "image_size": 32}
_registered: ContextVar[list[tuple[str, type]] | None] = ContextVar("registered", default=None)


def model(name: str, keys: type) -> Callable[[F], F]:
    """Registers model=NAME with the keys of a frozen dataclass, a subclass of ModelKeys whose fields are made by `key`.

    The function that it decorates gets them and a KerasTensor of normalised images [B, S, S, 3], S being
    `model.image_size`, and returns features [B, F] of any width, from which the logits are made.
    """
    return _registrar("model", name, keys)


def dataset(name: str, keys: type) -> Callable[[F], F]:
    """Registers dataset=NAME with the keys of a frozen dataclass, a subclass of DatasetKeys with fields made by `key`.

    The function that it decorates gets them and returns a Dataset. The images of all its parts have one size.
    """
    return _registrar("dataset", name, keys)


def _registrar(group: str, name: str, keys: type) -> Callable[[F], F]:
    if not re.fullmatch(r"[a-z]\w*", name, re.ASCII):
        raise ConfigError(f"{group}={name}: must be a name of small letters, digits and underscores")
    taken = _registered.get() or []
    if name in built_in()[group] or any((group, name) == (g, _name(kind)) for g, kind in taken):
        raise ConfigError(f"{group}={name}: is taken; give it another name")
    _require_keys(group, keys)

    def register(function: F) -> F:
        kind = dataclasses.make_dataclass(
            keys.__name__,
            [("name", Literal[name], dataclasses.field(metadata=_metadata("name", _BASES[group])))],
            bases=(keys,), frozen=True, kw_only=True, namespace={"own": function, "__module__": keys.__module__},
        )  # fmt: skip
        convert(kind, _defaults(kind), f"{group}.")
        if (found := _registered.get()) is not None:
            found.append((group, kind))
        return function

    return register


def _require_keys(group: str, keys: Any) -> None:
    """Raises ConfigError unless it is a dataclass from whose fields keys can be made."""
    base = _BASES[group]
    public = {"model": "ModelKeys", "dataset": "DatasetKeys"}[group]
    if not (issubclass(keys, base) and keys.__dataclass_params__.frozen and "__dataclass_fields__" in vars(keys)):
        raise ConfigError(f"{keys.__name__}: must be @dataclass(frozen=True, kw_only=True) and a vit_train.{public}")
    usual = {field.name for field in dataclasses.fields(base)}
    for field in dataclasses.fields(keys):
        if field.name in usual and "doc" in field.metadata:
            continue
        if "doc" not in field.metadata or field.default is dataclasses.MISSING:
            raise ConfigError(
                f"{keys.__name__}.{field.name}: is no key; write {field.name}: TYPE = vit_train.key('its meaning', "
                "default=VALUE)"
            )
        try:
            describe(hints_of(keys)[field.name])
        except (KeyError, IndexError):
            raise ConfigError(
                f"{keys.__name__}.{field.name}: must be of type int, float, bool, str, Literal[...], tuple[TYPE, ...], "
                "or one of them or None"
            ) from None


def _metadata(name: str, kind: type) -> Any:
    return {field.name: field for field in dataclasses.fields(kind)}[name].metadata


def _name(kind: type) -> str:
    return str(hints_of(kind)["name"].__args__[0])


def _defaults(kind: type) -> dict[str, Any]:
    """The values of all keys of a section, as its YAML file would have them."""
    values: dict[str, Any] = {"name": _name(kind)}
    for field in dataclasses.fields(kind):
        if field.name != "name":
            usual = _USUAL.get(field.name, field.metadata["absent"])
            values[field.name] = usual if field.default is dataclasses.MISSING else field.default
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


@contextmanager
def named_in(arguments: Sequence[str]) -> Iterator[None]:
    """`loaded` with the files that `named` finds."""
    with loaded(named(arguments)):
        yield


def named(arguments: Sequence[str]) -> list[str]:
    """The files of plugin=FILE or plugin=[FILE,FILE] among the arguments of vit-train; the last one counts."""
    texts = [text for text in understood(arguments) if text.lstrip("+").startswith("plugin=")]
    return _files(texts[-1]) if texts else []


def _files(text: str) -> list[str]:
    from hydra.core.override_parser.overrides_parser import OverridesParser  # for which --help does not wait
    from hydra.errors import HydraException

    try:
        value: Any = OverridesParser.create().parse_overrides([as_grammar(text)])[0].value()
    except (HydraException, ValueError):
        return []  # `parse` of compose.py refuses it
    return [] if value is None else [str(file) for file in (value if isinstance(value, list) else [value])]


@contextmanager
def loaded(files: Sequence[str], argument: str = "plugin=") -> Iterator[None]:
    """Executes the files, and has their models and data sets be options until the block ends.

    Raises ConfigError, one sentence, for a file that is absent, is no Python, raises, or registers nothing.
    """
    if not files:
        yield
        return
    import yaml  # for which --help does not wait

    kinds: list[tuple[str, type]] = []
    hashes = [(file, _execute(file, kinds, argument)) for file in files]
    with tempfile.TemporaryDirectory(prefix="vit-train-") as folder:
        for group, kind in kinds:
            path = Path(folder, group, f"{_name(kind)}.yaml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml.safe_dump(_defaults(kind), sort_keys=False), encoding="utf-8")
        token = ACTIVE.set(Own(tuple(hashes), tuple(kinds), Path(folder)))
        try:
            yield
        finally:
            ACTIVE.reset(token)


def _execute(file: str, kinds: list[tuple[str, type]], argument: str) -> str:
    """Adds to `kinds` what a file registers, and returns its sha256."""
    before = len(kinds)
    try:
        source = read_regular(Path(file), _MOST_BYTES)
        code = compile(source, file, "exec")
    except OSError as error:
        raise ConfigError(f"{argument}{file}: cannot be read ({error.strerror})") from None
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise ConfigError(f"{argument}{file}: is no Python ({file}{line}: {one_line(str(error))})") from None
    digest = hashlib.sha256(source).hexdigest()
    spec = importlib.util.spec_from_loader(f"vit_train_plugin_{digest[:16]}", None, origin=file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = file
    token = _registered.set(kinds)
    sys.modules[spec.name] = module  # where dataclasses and Keras look for it
    sys.meta_path.insert(0, _NO_BACKEND)
    try:
        with blamed(file):
            exec(code, vars(module))
    finally:
        sys.meta_path.remove(_NO_BACKEND)
        _registered.reset(token)
    if len(kinds) == before:
        raise ConfigError(f"{argument}{file}: registers neither a model nor a data set; see docs/plugins.md")
    return digest


class _NoBackend(MetaPathFinder):
    """Keras takes backend and precision when it is first imported, and they are known after the keys are."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name in _BACKENDS:
            raise ImportError(f"{name} must not be imported before compute.backend is known; do it in the function")


_NO_BACKEND = _NoBackend()


@contextmanager
def blamed(*files: str) -> Iterator[None]:
    """Raises what goes wrong in the user's files as a ConfigError with file and line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
        if not frames:
            raise
        reason = str(error) if isinstance(error, VitTrainError) else f"{type(error).__name__}: {error}"
        raise ConfigError(f"{frames[-1].filename}:{frames[-1].lineno}: {one_line(reason)}") from error


def own_blamed() -> Any:
    """The same, of the files that are loaded."""
    return blamed(*(file for file, _ in ACTIVE.get().files))


def require_named(values: Any, place: str) -> None:
    """Raises ConfigError if the values of a config need a plugin and the command names none."""
    if isinstance(values, dict) and values.get("plugin") and not ACTIVE.get().files:
        _refuse(place, values["plugin"])


def _refuse(place: str, plugin: Any) -> NoReturn:
    named = one_line(", ".join(map(str, plugin)) if isinstance(plugin, list) else str(plugin))
    raise ConfigError(
        f"{place}: needs code of its own, {named}, which no file can have executed; name it in the command: "
        "plugin=FILE, or --plugin FILE of vit-runs"
    )


def require_same(hashes: Any, place: str) -> None:
    """Raises ConfigError unless the files that the command names are those of the run or sweep in `place`.

    `hashes` are the sha256 of its files by their paths.
    """
    known, named = (hashes if isinstance(hashes, dict) else {}), ACTIVE.get().files
    if known and not named:
        _refuse(place, list(known))
    for file, digest in named:
        if known and digest not in known.values():
            raise ConfigError(
                f"{file}: is not the file that {place} was begun with, {one_line(', '.join(map(str, known)))}, whose "
                f"sha256 begins with {one_line(', '.join(str(value)[:8] for value in known.values()))}; bring that back"
            )
    if missing := [file for file, digest in known.items() if digest not in dict(named).values()]:
        _refuse(place, missing)


def own_options(group: str) -> list[str]:
    """The models, or the data sets, of the files that are loaded."""
    return [_name(kind) for each, kind in ACTIVE.get().kinds if each == group]


def arguments() -> list[str]:
    """The argument that gives another process the same files; raises ConfigError if one of them is not what it was."""
    for file, digest in ACTIVE.get().files:
        try:
            same = hashlib.sha256(read_regular(Path(file), _MOST_BYTES)).hexdigest() == digest
        except OSError:
            same = False
        if not same:
            raise ConfigError(f"{file}: has changed since this command began; bring back what it was")
    files = ",".join(quoted_value(str(Path(file).resolve())) for file, _ in ACTIVE.get().files)
    return [f"plugin=[{files}]"] if files else []
