"""`vit-runs weights`: what a file of another library's weights holds, and what it is in our model."""

import argparse
from collections import Counter

from vit_train.config.convert import show
from vit_train.console import print_table, put
from vit_train.errors import ConfigError
from vit_train.pretrained import foreign, hub
from vit_train.pretrained.foreign import ForeignFile
from vit_train.text import one_line


def run(options: argparse.Namespace) -> int:
    """Prints a line for each tensor, and the keys that init=FILE gives the model; only headers are read."""
    path = hub.local(options.file)
    if not foreign.is_foreign(path):
        raise ConfigError(
            f"{options.file}: must be a .safetensors or .npz file, or a folder of one with its config.json; a run's "
            "weights are shown by vit-runs show RUN"
        )
    file = foreign.look(path)
    keys = foreign.model_keys(file, None)
    print_table(["tensor", "times", "shape", "becomes"], _rows(file))
    put(
        f"weights of {file.family.name}: {len(file.rows)} tensors used, {len(file.skipped)} not used, "
        f"{len(file.unknown)} unknown"
    )
    put("init= sets " + " ".join(f"model.{name}={show(value)}" for name, value in keys.items()))
    if missing := [f"model.{name}" for name in foreign.FACTS if name not in keys]:
        put(f"and needs {', '.join(missing)}: neither tensors nor a config.json beside them say")
    return 0


def _rows(file: ForeignFile) -> list[list[str]]:
    """[name, how many of it, their shape, what becomes of them], with one row for those of all blocks."""
    counts = Counter(_alike(file, name) for name in file.shapes)
    return [[name, str(count), shape, becomes] for (name, shape, becomes), count in counts.items()]


def _alike(file: ForeignFile, name: str) -> tuple[str, str, str]:
    """Name, shape and place of a tensor; of what is not used only the reason."""
    shape = " x ".join(map(str, file.shapes[name]))
    if name in file.skipped:
        return f"not used: {file.skipped[name]}", "", ""
    if name in file.unknown:
        return one_line(name), shape, "unknown"
    row, _ = file.rows[name]
    parts = [path.split("/") for path in row.paths]
    place = "/".join(each[0] if len(set(each)) == 1 else f"[{','.join(each)}]" for each in zip(*parts, strict=True))
    start = file.prefix if name.startswith(file.prefix) else ""
    return f"{start}{row.name}".replace("{}", "*"), shape, place.replace("{}", "*")
