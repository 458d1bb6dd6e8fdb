"""dataset.root as a path."""

from pathlib import Path

from vit_train.errors import DataError
from vit_train.pretrained import hub


def expanded(root: str) -> Path:
    """The path with ~ as the home folder, or the folder of hf:ORG/NAME; raises DataError for what cannot be meant."""
    if root.startswith(hub.SCHEME):
        return hub.data(root)
    if "://" in root:
        raise DataError(f"dataset.root={root}: is an address; download what is there, and give the path of that")
    try:
        return Path(root).expanduser()
    except RuntimeError as error:
        raise DataError(f"{root}: there is no such home folder; give the full path in dataset.root") from error
