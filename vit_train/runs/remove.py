"""`vit-runs remove`: runs into a bin, and the bin emptied; nothing without --yes."""

import argparse
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path

from vit_train.console import print_table, put, say
from vit_train.errors import CheckpointError, ConfigError
from vit_train.files import is_there
from vit_train.rundir import find, records
from vit_train.rundir.layout import RunDir


def run(options: argparse.Namespace) -> int:
    """Prints what it is about; with --yes it moves runs to OUTPUTS/.bin/DATE/NAME, or deletes what is there."""
    place = options.outputs / ".bin"
    if options.empty_bin == bool(options.runs):
        raise ConfigError("remove: name runs, or --empty-bin to delete those that were removed before")
    if options.empty_bin:
        runs = [RunDir(path) for path in sorted(place.glob("*/*"))]
    else:
        runs = list({run.path: run for run in (_named(text, options.outputs) for text in options.runs)}.values())
    rows = [[str(run.path), records.state(run), f"{_bytes(run.path) / 1e6:,.1f}"] for run in runs]
    if rows:
        print_table(["run", "state", "MB"], rows, text_columns=2, ruled=False)
    if not options.yes:
        say(
            f"nothing is done yet; --yes {'deletes them for good' if options.empty_bin else f'moves them into {place}'}"
        )
        return 0
    try:
        if not options.empty_bin:
            _move(runs, place)
        elif is_there(place):
            shutil.rmtree(place)
    except OSError as error:
        raise CheckpointError(f"{error.filename}: cannot be removed ({error.strerror})") from error
    put(f"{len(runs)} {'deleted' if options.empty_bin else f'moved into {place}; mv brings them back'}")
    return 0


def _named(text: str, outputs: Path) -> RunDir:
    """The run OUTPUTS/DATE/NAME that `text` names; raises ConfigError for a run elsewhere, or of a sweep."""
    found = find.find_run(text, outputs)
    path = found.path.resolve()
    if path.parents[1] != outputs.resolve():
        inside = outputs.resolve() in path.parents
        raise ConfigError(
            f"{text}: is a run of a sweep, whose table and page lead to it; remove the sweep's folder instead"
            if inside
            else f"{text}: is not in {outputs}, where the bin is; name the folder of its runs with --outputs"
        )
    return RunDir(outputs / path.relative_to(outputs.resolve()))


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _move(runs: list[RunDir], place: Path) -> None:
    """All, or none if one of them is in training, which CheckpointError says."""
    with ExitStack() as locks:
        for run in runs:
            locks.enter_context(run.locked())
        for run in runs:
            there = place / run.path.parent.name / run.path.name
            there.parent.mkdir(parents=True, exist_ok=True)
            run.path.rename(there)
            with suppress(OSError):  # if that day has other runs
                run.path.parent.rmdir()
