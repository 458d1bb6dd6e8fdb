"""What files of the user's have registered, for as long as the call that names them is at work.

Nothing of it is global: another call in the same process, such as the next one of a notebook, begins without.
"""

from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vit_train.metrics import Metric


class Own(NamedTuple):
    """`files` are (path, sha256) of each, `kinds` (group, dataclass) of each option of a group that they register.

    `folder` has their options as conf/ has those of the package: GROUP/NAME.yaml.
    """

    files: tuple[tuple[str, str], ...] = ()
    kinds: tuple[tuple[str, type], ...] = ()
    metrics: "tuple[Metric, ...]" = ()
    folder: Path | None = None


ACTIVE: ContextVar[Own] = ContextVar("own", default=Own())  # noqa: B039, it is frozen


def validation_metrics() -> "dict[str, Metric]":
    """Those of the package and of plugins by their columns of history.csv."""
    from vit_train.metrics import VALIDATION  # for which --help does not wait

    return VALIDATION | {f"val_{metric.column}": metric for metric in ACTIVE.get().metrics}
