"""The config groups: folders of conf/ and the options in them. Reads no YAML, so it answers at once."""

from pathlib import Path


def config_folder() -> Path:
    """Where the YAML files are: in the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return next(folder for folder in (package / "conf", package.parent / "conf") if folder.is_dir())


def groups() -> dict[str, list[str]]:
    """Each config group with its options, in alphabetical order."""
    folders = sorted(path for path in config_folder().iterdir() if any(path.glob("*.yaml")))
    return {folder.name: sorted(path.stem for path in folder.glob("*.yaml")) for folder in folders}
