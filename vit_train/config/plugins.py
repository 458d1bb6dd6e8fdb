"""Models, data sets, augmentations and metrics of one's own: Python files that only a command names, by plugin=FILE.

A file is code, and a run directory is data: what a config.yaml, a recipe or a sweep.json names is never executed.
Whoever uses a run that was made with such a file names it again, and its sha256 must be that of then.
"""

import hashlib
import importlib.util
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any, NoReturn

from vit_train.config.arguments import as_grammar, understood
from vit_train.config.own import ACTIVE, Own
from vit_train.config.registration import collected, defaults, name_of
from vit_train.errors import ConfigError, VitTrainError
from vit_train.files import read_regular
from vit_train.text import one_line, quoted_value

_MOST_BYTES = 2**20
_BACKENDS = ("keras", "tensorflow", "jax", "torch")


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
    """Executes the files, and has what they register be there until the block ends.

    Raises ConfigError, one sentence, for a file that is absent, is no Python, raises, or registers nothing.
    """
    if not files:
        yield
        return
    import yaml  # for which --help does not wait

    registered: list[tuple[str, Any]] = []
    hashes = [(file, _execute(file, registered, argument)) for file in files]
    kinds = [(group, kind) for group, kind in registered if group != "metric"]
    metrics = tuple(metric for group, metric in registered if group == "metric")
    with tempfile.TemporaryDirectory(prefix="vit-train-") as folder:
        for group, kind in kinds:
            path = Path(folder, group, f"{name_of(kind)}.yaml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml.safe_dump(defaults(kind), sort_keys=False), encoding="utf-8")
        token = ACTIVE.set(Own(tuple(hashes), tuple(kinds), metrics, Path(folder)))
        try:
            yield
        finally:
            ACTIVE.reset(token)


def _execute(file: str, registered: list[tuple[str, Any]], argument: str) -> str:
    """Adds to `registered` what a file registers, and returns its sha256."""
    before = len(registered)
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
    sys.modules[spec.name] = module  # where dataclasses and Keras look for it
    sys.meta_path.insert(0, _NO_BACKEND)
    try:
        with collected(registered), blamed(file):
            exec(code, vars(module))
    finally:
        sys.meta_path.remove(_NO_BACKEND)
    if len(registered) == before:
        raise ConfigError(f"{argument}{file}: registers nothing; docs/plugins.md has what a plugin can be")
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
    """The models, data sets or augmentations of the files that are loaded."""
    return [name_of(kind) for each, kind in ACTIVE.get().kinds if each == group]


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
