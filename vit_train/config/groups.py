"""The config groups: folders of conf/ and the options in them. Which there are is known without reading any.

An installed user adds options in a conf/ of their own. A name that the package has keeps its meaning.
"""

import functools
import os
from pathlib import Path
from typing import Any

from vit_train.config.own import ACTIVE
from vit_train.errors import ConfigError

CONFIG_DIR = "VIT_TRAIN_CONFIG_DIR"  # in the environment, so that the jobs of a sweep have it, too


@functools.cache
def config_folder() -> Path:
    """Where the YAML files are: in the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return next(folder for folder in (package / "conf", package.parent / "conf") if folder.is_dir())


def own_folders() -> list[Path]:
    """Those of the user: conf/ in the working directory, the one that --config-dir names, and that of plugins."""
    names = filter(None, ("conf", os.environ.get(CONFIG_DIR)))
    named = [name for name in names if os.path.isdir(name)]  # noqa: PTH112, unlike pathlib's it raises nothing
    found = [path for path in dict.fromkeys(Path(name).resolve() for name in named) if path != config_folder()]
    return [*found, *filter(None, [ACTIVE.get().folder])]


def add_own_folder(name: str | None) -> None:
    """Has this process and those it starts look for options in a folder, too; raises ConfigError if it is none."""
    if name is None:
        return
    if not Path(name).is_dir():
        raise ConfigError(f"--config-dir {name}: is not a folder")
    os.environ[CONFIG_DIR] = str(Path(name).resolve())


def groups() -> dict[str, list[str]]:
    """Each config group with its options, in alphabetical order."""
    if not own_folders():
        return built_in()
    return {group: options(group) for group in built_in()}


@functools.cache
def built_in() -> dict[str, list[str]]:
    """The same without what users have added."""
    found = {path.name: _names(path) for path in sorted(config_folder().iterdir()) if path.is_dir()}
    return {group: names for group, names in found.items() if names}


def options(group: str) -> list[str]:
    """Those of one group, which may be inside another: `sweep/launcher`."""
    return sorted({name for folder in (config_folder(), *own_folders()) for name in _names(folder / group)})


def own_file(group: str, option: str) -> Path | None:
    """The user's file of an option; raises ConfigError if the package has one of that name."""
    for folder in own_folders():
        if folder != ACTIVE.get().folder and (path := folder / group / f"{option}.yaml").is_file():
            if option in _names(config_folder() / group):
                raise ConfigError(f"{group}={option}: is built in; {path} needs another name")
            return path
    return None


def read_yaml(name: str) -> dict[str, Any]:
    """What conf/NAME.yaml says, where `name` may have folders: `sweep/launcher/slurm`. In C, ten times as fast."""
    import yaml

    return dict(yaml.load(text_of(name), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def text_of(name: str) -> str:
    """What stands in conf/NAME.yaml, the package's or the user's."""
    files = (folder / f"{name}.yaml" for folder in (config_folder(), *own_folders()))
    return next(file for file in files if file.is_file()).read_text(encoding="utf-8")


def line_of(path: Path, key: str) -> int | None:
    """The line of a YAML file on which a dotted key stands, counted from 1."""
    import yaml

    node, line = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader), None
    for part in key.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = [(name.start_mark.line + 1, each) for name, each in pairs if name.value == part]
        line, node = found[0] if found else (None, None)
    return line


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))
