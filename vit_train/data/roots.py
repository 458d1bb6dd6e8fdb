"""dataset.root as a path."""

from pathlib import Path

from vit_train.errors import DataError


def expanded(root: str) -> Path:
    """The path with ~ as the home folder; raises DataError if there is no such home, or it is an address."""
    if "://" in root:
        raise DataError(f"dataset.root={root}: is an address; download what is there, and give the path of that")
    try:
        return Path(root).expanduser()
    except RuntimeError as error:
        raise DataError(f"{root}: there is no such home folder; give the full path in dataset.root") from error
