"""`vit-runs weights`: what a file of another library's weights holds, and what it is in our model."""

import argparse
from collections import Counter

from vit_train.config.convert import show
from vit_train.console import put
from vit_train.errors import ConfigError
from vit_train.pretrained import foreign, hub
from vit_train.pretrained.foreign import ForeignFile
from vit_train.text import one_line


def run(options: argparse.Namespace) -> int:
    """Prints two lines for each tensor of a block or outside, and the keys that init=FILE sets; reads only headers."""
    path = hub.local(options.file)
    if not foreign.is_foreign(path):
        raise ConfigError(
            f"{options.file}: must be a .safetensors, .npz or .h5 file, or a folder of one with its config.json; a "
            "run's weights are shown by vit-runs show RUN"
        )
    file = foreign.look(path)
    keys = foreign.model_keys(file, None)
    for (name, shape, becomes), count in Counter(_alike(file, name) for name in file.shapes).items():
        put(f"{count:4} x {name}  {shape}".rstrip())
        if becomes:
            put(f"       {becomes}")
    put(
        f"weights of {file.family.name}: {len(file.rows)} tensors used, {len(file.skipped)} not used, "
        f"{len(file.unknown)} unknown"
    )
    put("init= sets:")
    for name, value in keys.items():
        put(f"  model.{name}={show(value)}")
    if missing := [f"model.{name}" for name in foreign.FACTS if name not in keys]:
        put(f"and needs {', '.join(missing)}: neither tensors nor a config.json beside them say")
    return 0


def _alike(file: ForeignFile, name: str) -> tuple[str, str, str]:
    """Name, shape and place of a tensor; of what is not used only the reason."""
    shape = " x ".join(map(str, file.shapes[name]))
    if name in file.skipped:
        return f"not used: {file.skipped[name]}", "", ""
    if name in file.unknown:
        return one_line(name), shape, "unknown: has no place in our model"
    row, _ = file.rows[name]
    parts = [path.split("/") for path in row.paths]
    place = "/".join(each[0] if len(set(each)) == 1 else f"[{','.join(each)}]" for each in zip(*parts, strict=True))
    start = file.prefix if name.startswith(file.prefix) else ""
    return f"{start}{row.name}".replace("{}", "*"), shape, place.replace("{}", "*")
