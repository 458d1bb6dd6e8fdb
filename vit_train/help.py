"""`vit-train --help`, from the config dataclasses and conf/*.yaml. Needs no Hydra, so it answers at once."""

from typing import Any

import yaml

from vit_train.config import Config, SweepConfig
from vit_train.convert import describe, keys_of, show
from vit_train.groups import config_folder, groups

_HEAD = """\
vit-train trains Vision Transformers on small images and leaves a run directory with a report.

  vit-train [GROUP=OPTION ...] [KEY=VALUE ...]     train; without arguments the keras.io reference on CIFAR-100
  vit-train -m KEY=A,B ... [sweep.jobs=N]          one run for each combination, each in a process of its own
  vit-train -m sweep=NAME ...                      a ready sweep
  vit-train -m sweep.resume=DIR                    go on with a sweep; auto instead of DIR takes the newest such one
  vit-train --cfg job [...]                        print the resolved config and stop
  vit-train --config RUN/config.yaml [KEY=VALUE]   train again as an earlier run did
  vit-train --version | --help

Examples
  vit-train experiment=quickstart                              half a minute on a CPU; no network
  vit-train dataset=cifar100 model.depth=8                     the reference, 100 epochs
  vit-train dataset=cifar10 dataset.fraction=0.1 train.epochs=5 train.early_stopping.patience=2
  vit-train compute.backend=jax compute.precision=bfloat16 augment.placement=device
  vit-train resume=auto dataset=cifar100                       go on where the newest such run was stopped
  vit-train -m model.depth=4,8 optimizer.learning_rate=1e-3,3e-4

Tab completion: eval "$(vit-train -sc install=bash)", or zsh, or fish.
"""

_WORDS = {"minimum": ">=", "above": ">", "maximum": "<=", "below": "<"}


def help_text() -> str:
    """The whole page: usage, groups, and every key with its default, type, limits, meaning and unit."""
    lines = [_HEAD, "Groups (GROUP=OPTION)"]
    lines += [f"  {group:<12}{', '.join(options)}" for group, options in groups().items()]
    defaults = _defaults()
    section = None
    for name, field, kind in (*keys_of(Config), *keys_of(SweepConfig, "sweep.")):
        if name.split(".")[0] != section and "." in name:
            section = name.split(".")[0]
            only = ", only with -m" if section == "sweep" else ""
            lines += ["", f"Keys of {section}{only} (default; type; meaning)"]
        elif "." not in name and section != "":
            section = ""
            lines += ["", "Other keys"]
        limits = "".join(f", {_WORDS[limit]} {show(bound)}" for limit, bound in field.metadata["limits"].items())
        lines.append(f"  {name} = {defaults[name]}")
        lines.append(f"      {describe(kind)}{limits}: {field.metadata['doc']}")
    lines += ["", "Exit codes: 0 done, 2 config, 3 data, 4 checkpoint, 5 loss not finite, 130 and 143 stopped.", ""]
    return "\n".join(lines)


def _defaults() -> dict[str, str]:
    """Dotted key -> default value as a user would type it, from the default options."""
    main = _read("config")
    values = {name: value for name, value in main.items() if name != "defaults"}
    for entry in main["defaults"]:
        if isinstance(entry, dict):
            ((group, option),) = entry.items()
            if option is not None:
                values[group] = _read(f"{group}/{option}")
    values["sweep"] = _read("sweep")
    return dict(_flatten(values))


def _read(name: str) -> Any:
    return yaml.safe_load((config_folder() / f"{name}.yaml").read_text(encoding="utf-8"))


def _flatten(values: dict[str, Any], prefix: str = "") -> Any:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, show(value)
