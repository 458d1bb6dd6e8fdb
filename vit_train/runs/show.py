"""`vit-runs show`: a run's report, in the terminal."""

import argparse

from rich.markdown import Markdown

from vit_train.console import print_table, put, say, stdout
from vit_train.files import read_regular
from vit_train.metrics import TRAINING, VALIDATION
from vit_train.rundir import records
from vit_train.rundir.find import find_run
from vit_train.rundir.layout import RunDir
from vit_train.text import lines

_LONGEST_PAGE = 2**24


def run(options: argparse.Namespace) -> int:
    """Prints report.md, or how far the run has come if it has none, and then its files."""
    found = find_run(options.run, options.outputs)
    if (text := _page(found)) is not None:
        if stdout.is_terminal:
            stdout.print(Markdown(lines(text)), soft_wrap=False)
        else:  # typeset, each line would be padded to the widest that there can be
            stdout.print(text)
    else:
        _print_progress(found)
    print_table(["file", "bytes"], _files(found))
    put(str(found.path))
    return 0


def _page(run: RunDir) -> str | None:
    """report.md, or None if there is none yet or it cannot be read, which is said."""
    try:
        return read_regular(run.report_md, _LONGEST_PAGE).decode(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        say(f"note: {run.report_md}: cannot be read ({error.strerror})")
        return None


def _print_progress(run: RunDir) -> None:
    config, rows = records.read_config(run), records.read_rows(run)
    put(
        f"{config.get('model.name')} on {config.get('dataset.name')}: {records.state(run)}, "
        f"{len(rows)} of {config.get('train.epochs')} epochs done"
    )
    if rows:
        shown = {column: each.short for column, each in TRAINING.items() if each.short}
        shown |= {column: f"val {each.short}" for column, each in VALIDATION.items() if each.short}
        lines = [
            [f"{row['epoch']:.0f}", *(f"{row[column]:.4f}" if column in row else "-" for column in shown)]
            for row in rows
        ]
        print_table(["epoch", *shown.values()], lines)


def _files(run: RunDir) -> list[list[str]]:
    """[path in the run directory, size] of each; checkpoints, which only vit-train reads, as one."""
    files = [path for path in sorted(run.path.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    kept = [path for path in files if run.checkpoints not in path.parents]
    rows = [[path.relative_to(run.path).as_posix(), f"{path.stat().st_size:,}"] for path in kept]
    state = sum(path.stat().st_size for path in files if run.checkpoints in path.parents)
    return [*rows, ["checkpoints/", f"{state:,}"]] if state else rows
