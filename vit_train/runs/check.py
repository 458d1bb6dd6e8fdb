"""`vit-runs check`: what is wrong with a data set, before anything is trained on it."""

import argparse
import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from vit_train.config.compose import load_config
from vit_train.config.schema import Config
from vit_train.console import print_table, put, say
from vit_train.data import sources
from vit_train.data.images import Dataset
from vit_train.data.roots import expanded
from vit_train.data.survey import Part, survey
from vit_train.errors import CheckpointError, ConfigError
from vit_train.files import replace_file
from vit_train.rundir import records
from vit_train.rundir.find import find_run
from vit_train.runs import check_page
from vit_train.runs.findings import KINDS, Finding, alike_names, find
from vit_train.text import csv_cell, setting, some

_KNOWN = ("cifar10", "cifar100", "digits")


def run(options: argparse.Namespace) -> int:
    """Prints a summary and writes a page and two tables; the last line on stdout is the page's path."""
    config = _config(options.data, options.settings)
    dataset = sources.load_dataset(config)
    for note in dataset.notes:
        say(note)
    parts = survey(dataset, _root(config))
    findings = find(parts, dataset.class_names)
    summary = summary_rows(parts, findings)
    put(f"{sum(map(len, parts)):,} pictures in {len(dataset.class_names):,} classes")
    header = ["pictures", *(part.name for part in parts), "leave out"]
    print_table(header, summary)
    notes = class_notes(dataset, parts)
    for note in notes:
        put(note)
    accuracies = with_and_without(options, parts, findings) if options.run else []
    if accuracies:
        print_table(_ACCURACY, accuracies)
    _write(options.output, dataset, parts, findings)
    page = check_page.render(dataset, parts, findings, header, summary, notes, (_ACCURACY, accuracies))
    replace_file(options.output / "check.html", page)
    put(str(options.output / "check.html"))
    return 0


def _config(data: str, settings: Sequence[str]) -> Config:
    """The config that vit-train would have of the data set, be it named or a folder, and KEY=VALUE arguments."""
    if "=" in data:
        return load_config([data, *settings])
    if data in _KNOWN:
        return load_config([f"dataset={data}", *settings])
    kind = "table" if Path(data).is_file() else "folder"
    return load_config([f"dataset={kind}", setting("dataset.root", data), *settings])


def _root(config: Config) -> Path:
    """The folder from which files are named, which of a table is its own."""
    root = expanded(config.dataset.root or ".")
    return root.parent if root.is_file() else root


def summary_rows(parts: Sequence[Part], findings: Sequence[Finding]) -> list[list[str]]:
    """Rows [what, how many pictures of each part, how many of these are to be left out]; first, all pictures."""
    rows = [["all", *(f"{len(part):,}" for part in parts), f"{len({*_left_out(findings)}):,}"]]
    for kind, name in KINDS.items():
        own = [each for each in findings if each.kind == kind]
        counts = Counter(part for part, _ in {(each.part, each.row) for each in own})
        rows.append([name, *(f"{counts[part.name]:,}" for part in parts), f"{len({*_left_out(own)}):,}"])
    return rows


def _left_out(findings: Sequence[Finding]) -> list[tuple[str, int]]:
    return [(each.part, each.row) for each in findings if each.leave_out]


def class_notes(dataset: Dataset, parts: Sequence[Part]) -> list[str]:
    """Sentences on how even the classes are, and on names that may be of one class."""
    notes = []
    for part in parts:
        counts = np.bincount(part.source.labels, minlength=len(dataset.class_names))
        low, high = int(counts.argmin()), int(counts.argmax())
        notes.append(
            f"{part.name}: {counts[low]:,} to {counts[high]:,} pictures a class, "
            f"from {dataset.class_names[low]} to {dataset.class_names[high]}"
            if counts[low] < counts[high]
            else f"{part.name}: {counts[low]:,} pictures of each class"
        )
    alike = alike_names(dataset.class_names)
    return notes + [f"classes whose names are nearly the same: {some(names)}; are they one?" for names in alike]


_ACCURACY = ["test pictures", "number", "accuracy"]


def with_and_without(options: argparse.Namespace, parts: Sequence[Part], found: Sequence[Finding]) -> list[list[str]]:
    """Rows of _ACCURACY of the test pictures of --run: all, those without a copy in another part, those with one."""
    predictions = records.read_predictions(find_run(options.run, options.outputs))
    labels = next(part.source.labels for part in parts if part.name == "test")
    if not np.array_equal(predictions.labels, labels):
        raise ConfigError(f"--run {options.run}: its test set is not that of {options.data}; name a run on these data")
    copied = np.zeros(len(labels), bool)
    copied[[each.row for each in found if each.kind == "leak" and each.part == "test"]] = True
    chosen = {"all": copied | True, "without a copy to learn from": ~copied, "with one": copied}
    return [
        [name, f"{rows.sum():,}", f"{predictions.right[rows].mean():.2%}" if rows.any() else "-"]
        for name, rows in chosen.items()
    ]


def _write(folder: Path, dataset: Dataset, parts: Sequence[Part], findings: Sequence[Finding]) -> None:
    """Writes findings.csv with a row for each, and exclude.csv with those that are to be left out."""
    by_name = {part.name: part for part in parts}

    def table(some: Iterable[Finding]) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", "kind", "part", "class", "reason"])
        for each in some:
            part = by_name[each.part]
            label = dataset.class_names[part.source.labels[each.row]]
            writer.writerow(map(csv_cell, (part.names[each.row], each.kind, part.name, label, each.reason)))
        return text.getvalue()

    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "findings.csv", table(findings))
        replace_file(folder / "exclude.csv", table(each for each in findings if each.leave_out))
    except OSError as error:
        raise CheckpointError(f"--output {folder}: cannot be written to ({error.strerror}); name another") from error
