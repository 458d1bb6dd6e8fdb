"""`vit-runs compare`: runs beside each other, or one beside a published one."""

import argparse
from collections.abc import Callable
from typing import Any

import yaml

from vit_train.config.compose import load_config, to_yaml
from vit_train.config.convert import flattened, keys_of, show
from vit_train.config.schema import Config
from vit_train.console import duration, print_table, put, say
from vit_train.errors import ConfigError
from vit_train.metrics import VALIDATION
from vit_train.rundir import history, records
from vit_train.rundir.find import find_run
from vit_train.rundir.history import Row
from vit_train.rundir.layout import RunDir
from vit_train.runs import paired
from vit_train.runs.curves import format_of, plot_curves
from vit_train.runs.references import Reference, load_reference

_LABELS = "ABCDEFGHIJ"  # as many as there are colours
_FIGURES = {column: metric for column, metric in VALIDATION.items() if metric.short}


def run(options: argparse.Namespace) -> int:
    """Prints what differs and writes the curves; the last line on stdout is the picture's path."""
    format_of(options.plot)  # is wrong, if it is, before anything is read
    runs = [find_run(text, options.outputs) for text in options.runs]
    if options.reference is None:
        _compare(runs, options)
    elif len(runs) == 1:
        _compare_with(load_reference(options.reference), runs[0], options)
    else:
        raise ConfigError(f"--reference {options.reference}: is compared with one run, not with {len(runs)}; name one")
    put(str(options.plot))
    return 0


def _compare(runs: list[RunDir], options: argparse.Namespace) -> None:
    if not 2 <= len(runs) <= len(_LABELS):
        raise ConfigError(f"compare: {len(runs)} named; name 2 to {len(_LABELS)} runs, or one and --reference NAME")
    labels = list(_LABELS[: len(runs)])
    configs, rows = [records.read_config(run) for run in runs], [records.read_rows(run) for run in runs]
    for label, found in zip(labels, runs, strict=True):
        put(f"{label}  {found.path}")
    _name_plugins(runs, configs)
    if differences := config_differences(configs):
        print_table(["config", *labels], differences)
    else:
        say("the configs are the same")
    print_table(["result", *labels], result_rows(runs, configs, rows))
    _test_differences(labels, runs)
    named = {f"{label} {found.path.name}": own for label, found, own in zip(labels, runs, rows, strict=True)}
    plot_curves(named, options.plot)


def _name_plugins(runs: list[RunDir], configs: list[dict[str, Any]]) -> None:
    """Puts what was in the plugins in the place of their paths, for one of them may differ where the other does not."""
    environments = [records.attempt(records.read_environment, run) or {} for run in runs]
    for config, environment in zip(configs, environments, strict=True):
        if files := environment.get("plugins"):
            config["plugin"] = "sha256 " + ", ".join(sha256[:8] for sha256 in files.values())


def _test_differences(labels: list[str], runs: list[RunDir]) -> None:
    """Prints what each run has more right than the first, where both have predictions of the same images."""
    rows = []
    for label, other in zip(labels[1:], runs[1:], strict=True):
        if isinstance(outcome := paired.tested(runs[0], other), str):
            say(f"note: {label} {outcome}")
        elif outcome is not None:
            rows.append([f"{label} less A, {outcome.images:,} images", *outcome.row()])
    if rows:
        print_table(["test accuracy", "points", "95 % interval", "McNemar's p"], rows)


def config_differences(configs: list[dict[str, Any]]) -> list[list[str]]:
    """Rows [key, value in each config] for keys that affect results and differ; "-" where a config has no such key."""
    aside = {name for name, field, _ in keys_of(Config) if not field.metadata["affects_result"]}
    keys = dict.fromkeys(key for config in configs for key in config if key not in aside)
    rows = [[key, *(show(config[key]) if key in config else "-" for config in configs)] for key in keys]
    return [row for row in rows if len(set(row[1:])) > 1]


def result_rows(runs: list[RunDir], configs: list[dict[str, Any]], rows: list[list[Row]]) -> list[list[str]]:
    """Rows [figure, its value in each run]; validation and test figures are those of the best epoch."""
    reports = [records.attempt(records.read_report, run, note=True) or {} for run in runs]
    monitors = [config.get("train.checkpoint.monitor", "val_accuracy") for config in configs]
    best = [
        history.best(own, monitor) if own and monitor in VALIDATION else _best_told(own, report)
        for own, monitor, report in zip(rows, monitors, reports, strict=True)
    ]
    others = dict.fromkeys(name for own in best for name in own if name.startswith("val_") and name not in VALIDATION)

    def line(name: str, sources: list[dict[str, Any]], key: str, form: Callable[[Any], str]) -> list[str]:
        return [name, *("-" if key not in source else form(source[key]) for source in sources)]

    tests, times = [report.get("test") or {} for report in reports], [_totals(own) for own in rows]
    owns = [{name: value for name, value in (test.get("own") or {}).items() if value is not None} for test in tests]
    return [
        ["state", *(records.state(run) for run in runs)],
        ["epochs", *(str(len(own)) for own in rows)],
        line("best epoch", best, "epoch", "{:.0f}".format),
        *(line(f"validation {each.label}", best, column, each.text) for column, each in VALIDATION.items()),
        *(line(f"validation {name[4:].replace('_', ' ')}", best, name, "{:.4f}".format) for name in others),
        *(line(f"test {each.label}", tests, each.column, each.text) for each in VALIDATION.values()),
        *(line(f"test {name[4:].replace('_', ' ')}", owns, name[4:], "{:.4f}".format) for name in others),
        line("parameters", reports, "parameters", "{:,}".format),
        line("time (h:mm:ss)", times, "seconds", duration),
    ]


def _best_told(rows: list[Row], report: dict[str, Any]) -> Row:
    """The best epoch as the report has it, where the run monitored a metric of a plugin or of a newer version."""
    return next((row for row in rows if row["epoch"] == report.get("best_epoch")), {})


def _totals(rows: list[Row]) -> dict[str, float]:
    return {"seconds": sum(row["seconds"] for row in rows)} if all("seconds" in row for row in rows) and rows else {}


def _compare_with(reference: Reference, run: RunDir, options: argparse.Namespace) -> None:
    rows, config = records.read_rows(run), records.read_config(run)
    report = records.attempt(records.read_report, run, note=True) or {}
    if (dataset := config.get("dataset.name")) != reference.dataset:
        raise ConfigError(f"--reference {reference.name}: is on {reference.dataset}, and the run is on {dataset}")
    put(str(run.path))
    put(f"beside {reference.name}: {reference.title}")
    less = _less_than(reference, config, rows)
    if less:
        say(f"note: {less}; so their results cannot be set beside each other")
    theirs = flattened(yaml.safe_load(to_yaml(load_config([f"experiment={reference.name}"]))))
    if differences := config_differences([config, theirs]):
        print_table(["config", "run", "published"], differences)
    header = ["epoch", *(text for each in _FIGURES.values() for text in (f"val {each.short}", "published"))]
    print_table(header, reference_rows(rows, reference))
    own = report.get("test") or {}
    finals = [
        ["epochs", str(len(rows)), f"{reference.rows[-1]['epoch']:.0f}"],
        *(
            [
                each.label,
                each.text(own[each.column]) if each.column in own else "-",
                each.text(reference.test[each.column]),
            ]
            for each in VALIDATION.values()
            if each.column in reference.test
        ),
    ]
    print_table(["test set", "run", "published"], finals)
    if "accuracy" in own and not less:
        outcome = paired.beside_published(own["accuracy"], reference.test["accuracy"], report["split"]["test"])
        print_table(["test accuracy", "points", "95 % interval"], [["run less published", *outcome]])
    plot_curves({reference.name: reference.rows, run.path.name: rows}, options.plot, early=True)


def _less_than(reference: Reference, config: dict[str, Any], rows: list[Row]) -> str:
    """What the run was given less, or more, of than the published one, which saw all of the data; "" if nothing."""
    parts = []
    for key, of in (("dataset.fraction", "data"), ("dataset.train_fraction", "training images")):
        if (fraction := config.get(key, 1.0)) != 1:
            parts.append(f"the run has {fraction:.3g} of the {of} ({key}), the published one all")
    if (imbalance := config.get("dataset.imbalance", 1.0)) != 1:
        parts.append(f"the run has uneven classes (dataset.imbalance={imbalance:g}), the published one even ones")
    if (steps := config.get("train.steps_per_epoch")) is not None:
        parts.append(f"an epoch of the run is cut to {steps} steps (train.steps_per_epoch)")
    if len(rows) != (epochs := int(reference.rows[-1]["epoch"])):
        parts.append(f"the run has {len(rows)} epochs, the published one {epochs}")
    return "; ".join(parts)


def reference_rows(rows: list[Row], reference: Reference) -> list[list[str]]:
    """Rows [epoch, own and published figure in turn] for each epoch of the run; "-" where none was published."""
    published = {row["epoch"]: row for row in reference.rows}
    return [
        [f"{row['epoch']:.0f}", *(_figure(source, key) for key in _FIGURES
                                  for source in (row, published.get(row["epoch"], {})))]
        for row in rows
    ]  # fmt: skip


def _figure(row: Row, key: str) -> str:
    if key not in row:
        return "-"
    return f"{row[key]:.1%}" if VALIDATION[key].format.endswith("%") else f"{row[key]:.3f}"
