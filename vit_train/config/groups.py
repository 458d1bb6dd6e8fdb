"""The config groups: folders of conf/ and the options in them. Which there are is known without reading any."""

import functools
from pathlib import Path
from typing import Any


@functools.cache
def config_folder() -> Path:
    """Where the YAML files are: in the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return next(folder for folder in (package / "conf", package.parent / "conf") if folder.is_dir())


@functools.cache
def groups() -> dict[str, list[str]]:
    """Each config group with its options, in alphabetical order."""
    found = {path.name: options(path.name) for path in sorted(config_folder().iterdir()) if path.is_dir()}
    return {group: names for group, names in found.items() if names}


def read_yaml(name: str) -> dict[str, Any]:
    """What conf/NAME.yaml says, where `name` may have folders: `sweep/launcher/slurm`. In C, ten times as fast."""
    import yaml

    text = (config_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def options(group: str) -> list[str]:
    """Those of one group, which may be inside another: `sweep/launcher`."""
    return sorted(path.stem for path in (config_folder() / group).glob("*.yaml"))
