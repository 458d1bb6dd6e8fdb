"""Published runs to compare with: references/NAME.yaml and its curve in NAME.csv."""

import csv
from dataclasses import dataclass
from pathlib import Path

import yaml

from vit_train.config.convert import nearest
from vit_train.errors import ConfigError
from vit_train.rundir.history import Row

_FOLDER = Path(__file__).resolve().parent / "references"


@dataclass(frozen=True)
class Reference:
    """A published run: rows with the columns of history.csv for the epochs on record, and its test figures."""

    name: str
    title: str
    dataset: str
    rows: list[Row]
    test: dict[str, float]


def names() -> list[str]:
    """The published runs that there are."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_reference(name: str) -> Reference:
    """The published run of that name; raises ConfigError, with the known names, if there is none."""
    if name not in names():
        raise ConfigError(f"--reference {name}: must be one of {', '.join(names())}{nearest(name, names())}")
    about = yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    with (_FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return Reference(name, about["title"], about["dataset"], rows, about["test"])
