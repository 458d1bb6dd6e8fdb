"""Imports point one way, from the command down to errors, and never in a circle."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "vit_train"
# Each line may import from the lines below it, and a room from itself; rooms of one line also from each other.
ORDER = """
__main__ cli
__init__
sweep runs
single
run
completion
command_line
training report
models data machine
rundir
config
pretrained
progress
metrics console
files errors text
"""
RANK = {room: rank for rank, line in enumerate(ORDER.strip().splitlines()) for room in line.split()}


def modules():
    """Dotted name -> file, without `vit_train.`; a package is named as its folder, and the root `__init__`."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever the import stands: in a function, or for types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (known(alias.name) for alias in node.names if alias.name.startswith("vit_train."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vit_train":
            yield from (known(f"{node.module}.{alias.name}") for alias in node.names)


def known(name: str) -> str:
    """The module that is, or holds, what is imported as `name`."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts) or "__init__"


ARROWS = {name: set(imported(path)) for name, path in MODULES.items()}


def room(module: str) -> str:
    return module.split(".")[0]


def test_every_room_has_its_place():
    assert {room(module) for module in MODULES} <= set(RANK)


def test_nothing_points_up():
    up = [(module, other) for module in MODULES for other in ARROWS[module] if RANK[room(other)] < RANK[room(module)]]
    assert up == []


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """A way from a module back to itself, or none."""
    done: set[str] = set()

    def search(module: str, way: list[str]) -> list[str]:
        if module in way:
            return way[way.index(module) :]
        if module in done:
            return []
        found = next(filter(None, (search(other, [*way, module]) for other in sorted(arrows[module]))), [])
        done.add(module)
        return found

    return next(filter(None, (search(module, []) for module in sorted(arrows))), [])


def test_there_is_no_circle_of_modules():
    assert circle(ARROWS) == []


def test_there_is_no_circle_of_rooms():
    rooms: dict[str, set[str]] = {room(module): set() for module in MODULES}
    for module, others in ARROWS.items():
        rooms[room(module)] |= {room(other) for other in others} - {room(module)}
    assert circle(rooms) == []


def test_a_circle_would_be_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
