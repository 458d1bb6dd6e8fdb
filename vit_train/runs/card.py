"""`vit-runs card`: a model card, the README.md of the Hugging Face Hub, of what was measured and nothing else."""

import argparse
import re
from typing import Any

import yaml

from vit_train.config.schema import Config
from vit_train.console import put_lines
from vit_train.errors import ConfigError
from vit_train.report import pages, writer
from vit_train.report.writer import Report
from vit_train.rundir import records
from vit_train.rundir.find import find_run
from vit_train.rundir.layout import RunDir

# Name of a data set here -> what the Hub, and people, call it.
_DATASETS = {"cifar10": ("uoft-cs/cifar10", "CIFAR-10"), "cifar100": ("uoft-cs/cifar100", "CIFAR-100")}


def run(options: argparse.Namespace) -> int:
    """Prints it, ready for a file."""
    put_lines(card(find_run(options.run, options.outputs), options))
    return 0


def card(found: RunDir, options: argparse.Namespace) -> str:
    """The card of a run that `options.run` names, with `options.license`; raises ConfigError if it has no test."""
    if options.license is not None and not re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", options.license):
        raise ConfigError(f"--license {options.license}: must be an id as the Hub has it, such as apache-2.0 or mit")
    report, config = writer.read(found), records.load_config(found)
    if report.test is None:
        raise ConfigError(f"{options.run}: has no test figures, so there is nothing to tell; finish the run first")
    own = "pictures of its own" if config.dataset.root else report.dataset
    data = _DATASETS.get(report.dataset, (None, own))[1]
    more = {"title": _name(report), "data": data, "base": _base_model(config.init)}
    head = yaml.safe_dump(metadata(report, config, options.license), sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n{pages.render('card.md.j2', report, found, config, [], **more)}\n"


def _name(report: Report) -> str:
    return f"{report.model}-{report.dataset}"


def metadata(report: Report, config: Config, license_id: str | None) -> dict[str, Any]:
    """What the Hub reads of a card (its specification is modelcard.md of huggingface/hub-docs), for a finished run."""
    place, title = _DATASETS.get(report.dataset, (None, report.dataset))
    facts: dict[str, Any] = {"license": license_id} if license_id else {}
    facts |= {"library_name": "vit-train", "pipeline_tag": "image-classification"}
    facts |= {"tags": ["vit-train", "keras", "image-classification", report.model], "metrics": ["accuracy", "f1"]}
    if place:
        facts["datasets"] = [place]
    if base := _base_model(config.init):
        facts["base_model"] = base
    data: dict[str, Any] = {"type": place or report.dataset, "name": title, "split": "test"}
    if config.dataset.fraction != 1:
        data["args"] = {"fraction": config.dataset.fraction}
    facts["model-index"] = [
        {"name": _name(report), "results": [
            {"task": {"type": "image-classification"}, "dataset": data, "metrics": _metrics(report)}
        ]}
    ]  # fmt: skip
    return facts


def _metrics(report: Report) -> list[dict[str, Any]]:
    test = report.test
    assert test is not None  # `run` sees to it
    values = [
        ("accuracy", "test accuracy", test.accuracy),
        ("accuracy", "top-5 test accuracy", test.top5_accuracy),
        ("accuracy", "balanced test accuracy", test.balanced_accuracy),
        ("f1", "macro F1", test.macro_f1),
    ]
    if len(report.per_class) <= 5:  # where it is always 1
        del values[1]
    return [{"type": kind, "name": name, "value": value} for kind, name, value in values if value is not None]


def _base_model(init: str | None) -> str | None:
    """The repository of the Hub that `init` names, if it does."""
    scheme, _, rest = (init or "").partition(":")
    name = rest.partition("@")[0]
    return {"hf": name, "timm": f"timm/{name}"}.get(scheme)
