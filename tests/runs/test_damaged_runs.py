"""Every file of a run, damaged in every way, before every command that reads it: documented exit codes only.

EXPECTED is the table in docs/reliability.md. One finished run of tests/golden/ is shared; each case puts back what it
damaged.
"""

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vit_train.config.compose import load_config
from vit_train.config.schema import Config
from vit_train.errors import VitTrainError
from vit_train.rundir import checkpoint, records, resume
from vit_train.rundir.environment import require_same_data
from vit_train.rundir.layout import RunDir
from vit_train.runs import compare
from vit_train.runs.cli import run as vit_runs
from vit_train.sweep import plan

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "runs" / "v1"
NAME = "2026-11-26/10-00-00.000000-digits-vit"
STEP = "checkpoints/step-0000000016"

# As the damage is called in the docs, and what it leaves in the place of the content that was there.
CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "no text": lambda content: b"\xff\xfe\x80" * 99,
    "[]": lambda content: b"[]",
    "{}": lambda content: b"{}",
    "null": lambda content: b"null",
    "nested": lambda content: b"[" * 200_000,
}
PLACES: dict[str, Callable[[Path], None]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path),
    "a terabyte": lambda path: [path.touch(), os.truncate(path, 2**40)][1],
}

NOTE, READ, ERROR = "0, with a note", "0", "4"
EXPECTED = {
    "config.yaml": {"list": NOTE, "compare": ERROR, "evaluate": ERROR, "figures": ERROR, "resume=RUN": ERROR,
                    "resume=auto": NOTE},
    "history.csv": {"list": NOTE, "compare": ERROR},
    "report.json": {"list": NOTE, "compare": NOTE, "figures": ERROR},
    "report.md": {"show": READ},
    "environment.json": {"resume=RUN": ERROR},
    "predictions.csv": {"figures": ERROR},
    f"{STEP}/manifest.json": {"resume=RUN": ERROR},
    f"{STEP}/progress.json": {"resume=RUN": ERROR},
    f"{STEP}/latest.npz": {"resume=RUN": ERROR, "predict": ERROR, "evaluate": ERROR, "export": ERROR},
    f"{STEP}/best.npz": {"resume=RUN": ERROR, "predict": ERROR, "evaluate": ERROR, "export": ERROR},
    "model.keras": {"predict": ERROR, "evaluate": ERROR, "export": ERROR},
    "sweep.json": {"sweep.resume=DIR": ERROR, "sweep.resume=auto": NOTE},
}  # fmt: skip
# What evaluate meets in a model and in its weights, these meet in the same place, and loading them takes long.
SLOW = ("predict", "export")
CASES = [(file, command) for file, cells in EXPECTED.items() for command in cells]


@contextmanager
def damaged(path: Path) -> Iterator[Iterator[str]]:
    """Damages a file in each way in turn, and puts it back in the end."""
    content = path.read_bytes()

    def each() -> Iterator[str]:
        for name, change in CONTENTS.items():
            path.write_bytes(change(content))
            yield name
        for name, make in PLACES.items():
            remove(path)
            make(path)
            yield name

    try:
        yield each()
    finally:
        remove(path)
        path.write_bytes(content)


def remove(path: Path) -> None:
    path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A finished run with a file of its own for resume=auto, another to compare it with, and a sweep."""
    place = tmp_path_factory.mktemp("damaged")
    shutil.copytree(GOLDEN / "finished", place / "outputs" / NAME)
    shutil.copytree(GOLDEN / "interrupted", place / "other")
    shutil.copytree(GOLDEN / "sweep", place / "outputs" / "2026-11-26" / "12-00-00.000000-sweep")
    shutil.copy(GOLDEN / "finished" / "config.yaml", place / "config.yaml")
    return place


def resume_run(run: RunDir, file: str) -> None:
    """What `vit-train resume=RUN` reads before it trains; composing the config takes long, so only where it matters."""
    if file == "config.yaml":
        resume.load([f"resume={run.path}", "train.epochs=9"])
    require_same_data(run, None)
    checkpoint.load(run.checkpoints)


def call(command: str, file: str, place: Path) -> int:
    run, sweep = place / "outputs" / NAME, place / "outputs" / "2026-11-26" / "12-00-00.000000-sweep"
    outputs = f"outputs={place / 'outputs'}"
    commands: dict[str, Callable[[], object]] = {
        "list": lambda: vit_runs(["list", "--outputs", str(place / "outputs")]),
        "show": lambda: vit_runs(["show", str(run)]),
        "compare": lambda: vit_runs(["compare", str(run), str(place / "other"), "--plot", str(place / "plot.png")]),
        "evaluate": lambda: vit_runs(["evaluate", str(run)]),
        "predict": lambda: vit_runs(["predict", str(run), "x.png"]),
        "export": lambda: vit_runs(["export", str(run), "--format", "keras", "--output", str(place / "exported")]),
        "figures": lambda: (
            records.read_predictions(RunDir(run)) if file == "predictions.csv" else vit_runs(["figures", str(run)])
        ),
        "resume=RUN": lambda: resume_run(RunDir(run), file),
        "resume=auto": lambda: resume.load(["resume=auto", outputs], str(place / "config.yaml")),
        "sweep.resume=DIR": lambda: plan.load(sweep),
        "sweep.resume=auto": lambda: plan.newest(["seed=1,2", outputs], None, search=False),
    }
    try:
        found = commands[command]()
        return found if isinstance(found, int) else 0
    except VitTrainError as error:
        assert str(error).isprintable()
        return error.exit_code


@functools.cache
def composed(overrides: tuple[str, ...], file: str | None) -> Config:
    """A config of files that nobody damages; composing takes most of the time here."""
    return load_config(overrides, file)


@pytest.mark.parametrize(
    ("file", "command"),
    [pytest.param(*case, marks=[pytest.mark.slow] * (case[1] in SLOW), id=" ".join(case)) for case in CASES],
)
def test_only_documented_exit_codes_and_each_names_the_file(place, capsys, monkeypatch, file, command):
    monkeypatch.setattr(compare, "plot_curves", lambda *arguments: None)
    for module in (resume, plan):
        monkeypatch.setattr(module, "load_config", lambda overrides, file=None: composed(tuple(overrides), file))
    folder = place / "outputs" / ("2026-11-26/12-00-00.000000-sweep" if file == "sweep.json" else NAME)
    absent = None
    if command == "resume=auto":  # passes over what is finished
        absent = "report.json"
    elif file.startswith(STEP) and command != "resume=RUN":  # which read checkpoints for want of a model
        absent = "model.keras"
    if absent:
        (folder / absent).rename(place / absent)
    found = {}
    with damaged(folder / file) as damages:
        for damage in damages:
            code = call(command, file, place)
            noted = f"note: {folder / file}: " in capsys.readouterr().err
            found[damage] = f"{code}, with a note" if noted and EXPECTED[file][command] != READ else str(code)
    if absent:
        (place / absent).rename(folder / absent)
    assert found == dict.fromkeys(found, EXPECTED[file][command])


def table() -> str:
    commands = list(dict.fromkeys(command for cells in EXPECTED.values() for command in cells))
    lines = [f"| file | {' | '.join(commands)} |", f"| --- |{' --- |' * len(commands)}"]
    for file, cells in EXPECTED.items():
        name = file.replace(STEP, "checkpoints/step-N")
        lines.append(f"| `{name}` | {' | '.join(cells.get(command, '') for command in commands)} |")
    return "\n".join(lines)


def test_the_docs_have_the_table():
    text = (ROOT / "docs" / "reliability.md").read_text()
    assert table() in text
    assert f"{', '.join([*CONTENTS, *PLACES])}" in text.replace("\n", " ").replace("`", "")
