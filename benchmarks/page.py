"""What pages of measured figures share: the part between two marks, and the machine behind a figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vit_train.files import replace_file
from vit_train.rundir.environment import processor

END = "<!-- until here -->"
_MACHINE = ("device", "processor", "cpus", "python", "packages", "git")
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")  # as Linux names those that decide speed


def write_between_marks(path: Path, begin: str, text: str) -> None:
    """Puts `text` into the page in place of what is between the line `begin` and the next END."""
    before, rest = path.read_text().split(f"{begin}\n")
    after = rest.split(END, 1)[1]
    replace_file(path, f"{before}{begin}\n{text}\n{END}{after}")


def machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What a figure depends on, of environment.json; its paths are nobody's business."""
    flags = processor("flags").split()
    return {**{key: environment[key] for key in _MACHINE}, "instructions": [f for f in _INSTRUCTIONS if f in flags]}
