"""dataset.root as a path."""

from pathlib import Path

from vit_train.errors import DataError


def expanded(root: str) -> Path:
    """The path with ~ as the home folder; raises DataError if there is no such home."""
    try:
        return Path(root).expanduser()
    except RuntimeError as error:
        raise DataError(f"{root}: there is no such home folder; give the full path in dataset.root") from error
