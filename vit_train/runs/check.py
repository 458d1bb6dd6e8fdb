"""`vit-runs check`: what is wrong with a data set, before anything is trained on it."""

import argparse
import csv
import dataclasses
import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vit_train.config.compose import load_config
from vit_train.config.schema import Config
from vit_train.console import print_table, put, say
from vit_train.data import sources
from vit_train.data.check import BadFiles
from vit_train.data.exclude import named_in
from vit_train.data.images import Dataset
from vit_train.data.roots import expanded
from vit_train.data.survey import Part, survey
from vit_train.errors import CheckpointError, ConfigError
from vit_train.files import is_there, replace_file
from vit_train.rundir import predictions, records
from vit_train.rundir.environment import with_data_from_here
from vit_train.rundir.find import all_runs, find_run
from vit_train.rundir.predictions import Predictions
from vit_train.runs import check_page
from vit_train.runs.findings import KINDS, Finding, alike_names, find
from vit_train.runs.wrong_labels import likely_wrong
from vit_train.text import csv_cell, setting, some

Row = tuple[str, str, str, str, str]  # of findings.csv and exclude.csv: path, kind, part, class, reason
_KNOWN = ("cifar10", "cifar100", "digits")


def run(options: argparse.Namespace) -> int:
    """Prints a summary and writes a page and two tables; the last line on stdout is the page's path."""
    config = _config(options.data, options.settings) if options.sweep is None else _config_of(options)
    exclude = getattr(config.dataset, "exclude", None)  # a plugin's data set has no such key
    given = named_in(exclude).cells["path"] if exclude else []
    left_out = [(path, "given", "", "", f"as {exclude} says") for path in given]
    dataset, unreadable = _load(config, options.output, left_out)
    right = _right(options, dataset) if options.run else None
    found = None if options.sweep is None else _out_of_fold(options.sweep, dataset)
    for note in dataset.notes:
        say(note)
    parts = survey(dataset, _root(config))
    wrong = [] if found is None else list(wrong_labels(found, dataset.class_names))
    findings = [*wrong, *find(parts, dataset.class_names)]
    summary = summary_rows(parts, findings, len(unreadable), found is not None)
    put(f"{sum(map(len, parts)):,} pictures in {len(dataset.class_names):,} classes")
    header = ["pictures", *(part.name for part in parts), "leave out"]
    print_table(header, summary)
    notes = class_notes(dataset, parts)
    for note in notes:
        put(note)
    accuracies = [] if right is None else with_and_without(right, findings)
    if accuracies:
        print_table(_ACCURACY, accuracies)
    rows = [_row(each, parts, dataset) for each in findings]
    left_out += [*unreadable, *(row for row, each in zip(rows, findings, strict=True) if each.leave_out)]
    _write(options.output, {"findings.csv": [*unreadable, *rows], "exclude.csv": left_out})
    page = check_page.render(dataset, parts, findings, header, summary, notes, (_ACCURACY, accuracies))
    replace_file(options.output / "check.html", page)
    put(str(options.output / "check.html"))
    return 0


def _config(data: str | None, settings: Sequence[str]) -> Config:
    """The config that vit-train would have of the data set, be it named or a folder, and KEY=VALUE arguments."""
    if data is None:
        raise ConfigError("DATA: is not there; name a folder of pictures, a table, or --sweep DIR")
    if "=" in data:
        return load_config([data, *settings])
    if data in _KNOWN:
        return load_config([f"dataset={data}", *settings])
    kind = "folder" if not Path(data).is_file() else "npz" if data.endswith(".npz") else "table"
    return load_config([f"dataset={kind}", setting("dataset.root", data), *settings])


def _config_of(options: argparse.Namespace) -> Config:
    """The config of a sweep's runs, as far as it is about data."""
    if options.data is not None:
        raise ConfigError(f"--sweep {options.sweep}: says which data are meant; leave out {options.data}")
    runs = [run for folder in sorted(options.sweep.glob("jobs/*")) for run in all_runs(folder)]
    if not runs or not is_there(options.sweep / "predictions.csv"):
        raise ConfigError(f"--sweep {options.sweep}: is no sweep that has run every fold, as vit-train -m sweep=kfold "
                          "makes it, with predictions.csv")  # fmt: skip
    return with_data_from_here(runs[0], records.load_config(runs[0]))


def _out_of_fold(sweep: Path, dataset: Dataset) -> Predictions:
    """The sweep's predictions.csv; raises CheckpointError for a damaged one, and ConfigError if it is of other data."""
    path = sweep / "predictions.csv"
    try:
        found = predictions.read(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); make it again with vit-train -m "
                              f"{setting('sweep.resume', sweep)}") from error  # fmt: skip
    if not np.array_equal(found.labels, dataset.train.labels):
        raise ConfigError(f"--sweep {sweep}: its pictures have other labels by now; run it again")
    return found


def wrong_labels(found: Predictions, class_names: Sequence[str]) -> Iterator[Finding]:
    """A finding for each training picture whose label is likely wrong, the surest first."""
    for row, rather, _ in zip(*likely_wrong(found, len(class_names)), strict=True):
        place = int(np.flatnonzero(found.top[row] == rather)[0])
        reason = (
            f"rather {class_names[rather]}: {found.top_probabilities[row, place]:.0%}, "
            f"{class_names[found.labels[row]]} {found.true_probabilities[row]:.0%}"
        )
        yield Finding("wrong", "train", int(row), reason, True)


def _root(config: Config) -> Path:
    """The folder from which files are named, which of a table is its own."""
    root = expanded(config.dataset.root or ".")
    return root.parent if root.is_file() else root


def _load(config: Config, output: Path, left_out: Sequence[Row]) -> tuple[Dataset, list[Row]]:
    """The data set without files that cannot be read, and rows for these, which exclude.csv has after `left_out`."""
    try:
        return sources.load_dataset(config), []
    except BadFiles as error:
        root = _root(config)
        bad = [(os.path.relpath(path, root), "unreadable", "", "", why) for path, why in error.faults.items()]
    _write(output, {"exclude.csv": [*left_out, *bad]})
    dataset = dataclasses.replace(config.dataset, exclude=str(output / "exclude.csv"))
    return sources.load_dataset(dataclasses.replace(config, dataset=dataset)), bad


def summary_rows(
    parts: Sequence[Part], findings: Sequence[Finding], unreadable: int, with_wrong: bool = False
) -> list[list[str]]:
    """Rows [what, how many pictures of each part, how many of these are to be left out]; first, all pictures."""
    rows = [["all", *(f"{len(part):,}" for part in parts), f"{len({*_left_out(findings)}) + unreadable:,}"]]
    if unreadable:
        rows.append(["cannot be read", *("-" for _ in parts), f"{unreadable:,}"])
    for kind, name in KINDS.items():
        if kind == "wrong" and not with_wrong:
            continue
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


def _right(options: argparse.Namespace, dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Which test pictures --run has right: bool [N]; raises ConfigError if it was tested on others."""
    said = records.read_predictions(find_run(options.run, options.outputs))
    if not np.array_equal(said.labels, dataset.test.labels):
        raise ConfigError(f"--run {options.run}: its test set is not that of {options.data}; name a run on these data")
    return said.right


def with_and_without(right: npt.NDArray[np.bool_], findings: Sequence[Finding]) -> list[list[str]]:
    """Rows of _ACCURACY: of all test pictures, of those without a copy in another part, and of those with one."""
    copied = np.zeros(len(right), bool)
    copied[[each.row for each in findings if each.kind == "leak" and each.part == "test"]] = True
    chosen = {"all": copied | True, "without a copy to learn from": ~copied, "with one": copied}
    return [
        [name, f"{rows.sum():,}", f"{right[rows].mean():.2%}" if rows.any() else "-"] for name, rows in chosen.items()
    ]


def _row(finding: Finding, parts: Sequence[Part], dataset: Dataset) -> Row:
    """A row of findings.csv."""
    part = next(part for part in parts if part.name == finding.part)
    label = dataset.class_names[part.source.labels[finding.row]]
    return part.names[finding.row], finding.kind, part.name, label, finding.reason


def _write(folder: Path, tables: Mapping[str, Sequence[Row]]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in tables.items():
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(["path", "kind", "part", "class", "reason"])
            writer.writerows(map(csv_cell, row) for row in rows)
            replace_file(folder / name, text.getvalue())
    except OSError as error:
        raise CheckpointError(f"--output {folder}: cannot be written to ({error.strerror}); name another") from error
