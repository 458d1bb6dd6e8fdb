"""`vit-train --help`, from the config dataclasses and conf/*.yaml. Needs no Hydra, so it answers at once."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from vit_train.config.convert import describe, flattened, hints_of, keys_of, names_of, show, unknown_key, variants
from vit_train.config.groups import groups, read_yaml
from vit_train.config.schema import Config, SweepConfig

_HEAD = """\
vit-train trains Vision Transformers on small images and leaves a run directory with a report.

  vit-train [GROUP=OPTION ...] [KEY=VALUE ...]     train; without arguments the keras.io reference on CIFAR-100
  vit-train -m KEY=A,B ... [sweep.jobs=N]          one run for each combination, each in a process of its own
  vit-train -m sweep.trials=N KEY=interval(A,B)    Bayesian search over lists, ranges and intervals
  vit-train -m sweep=NAME ...                      a ready sweep or search
  vit-train -m sweep.launcher=slurm|ray ...        on a cluster
  vit-train -m sweep.resume=DIR                    continue with a sweep; auto instead of DIR takes the newest such one
  vit-train --cfg job [...]                        print the resolved config and stop
  vit-train --config RUN/config.yaml [KEY=VALUE]   train again as an earlier run did
  vit-train --config-dir DIR GROUP=OPTION ...      with options of your own in DIR/GROUP, beside those in conf/GROUP
  vit-train --version | --help [TOPIC]             TOPIC: a section such as model, or a part of a key

Examples
  vit-train experiment=quickstart                              half a minute on a CPU; no network
  vit-train dataset=cifar100 model.depth=8                     the reference, 100 epochs
  vit-train dataset=cifar10 dataset.fraction=0.1 train.epochs=5 train.early_stopping.patience=2
  vit-train compute.backend=jax compute.precision=bfloat16 augment.placement=device
  vit-train resume=auto dataset=cifar100                       continue where the newest such run was stopped
  vit-train -m model.depth=4,8 optimizer.learning_rate=1e-3,3e-4

Tab completion: eval "$(vit-train -sc install=bash)", or zsh, or fish.
"""

_WORDS = {"minimum": ">=", "above": ">", "maximum": "<=", "below": "<"}


def help_text() -> str:
    """The whole page: usage, groups, and every key with its default, type, limits, meaning and unit."""
    lines = [_HEAD, "Groups (GROUP=OPTION)"]
    lines += [f"  {group:<12}{', '.join(options)}" for group, options in groups().items()]
    main = read_yaml("config")
    for title, section, prefix, option in _sections(main["defaults"]):
        values = flattened(read_yaml(option), prefix)
        lines += ["", f"Keys of {title} (default; type; meaning)", *_keys(keys_of(section, prefix), values)]
    others = [key for key in keys_of(Config) if "." not in key[0]]
    lines += ["", "Other keys", *_keys(others, flattened(main))]
    own = [key for key in keys_of(SweepConfig, "sweep.") if not key[0].startswith("sweep.launcher.")]
    values = flattened(read_yaml("sweep"), "sweep.")
    lines += ["", "Keys of sweep, only with -m (default; type; meaning)", *_keys(own, values)]
    for section in variants(hints_of(SweepConfig)["launcher"]):
        values = flattened(read_yaml(f"sweep/launcher/{names_of(section)[0]}"), "sweep.launcher.")
        title = f"Keys of sweep.launcher={names_of(section)[0]}, only with -m (default; type; meaning)"
        lines += ["", title, *_keys(keys_of(section, "sweep.launcher."), values)]
    lines += ["", "Exit codes: 0 done, 2 config, 3 data, 4 checkpoint, 5 loss not finite, 130 and 143 stopped.", ""]
    return "\n".join(lines)


def help_about(topic: str) -> str:
    """The keys of one section, such as `model` or `sweep`, or those with `topic` in their names.

    Raises ConfigError if there are none.
    """
    blocks = [block.splitlines() for block in help_text().split("\n\n") if re.match("Keys of|Other keys", block)]
    topic = topic.split("=")[0]
    found = [block for block in blocks if re.match(rf"Keys of {re.escape(topic)}\b", block[0])]
    if not found:
        for title, *lines in blocks:
            keys = list(zip(lines[::2], lines[1::2], strict=True))
            if inside := [line for key in keys if topic in key[0].split(" =")[0] for line in key]:
                found.append([title, *inside])
    if not found:
        raise unknown_key(f"--help {topic}", topic, [name for name, _, _ in keys_of(Config)])
    return "\n\n".join("\n".join(block) for block in found) + "\n"


def _sections(defaults: list[Any]) -> Iterator[tuple[str, type, str, str]]:
    """Yields (title, dataclass, prefix of its keys, YAML file with their defaults) for every section and variant."""
    chosen = {group: option for entry in defaults if isinstance(entry, dict) for group, option in entry.items()}
    for group, kind in hints_of(Config).items():
        for section in variants(kind):
            several = len(variants(kind)) > 1
            option = names_of(section)[0] if several else chosen[group]
            yield f"{group}={option}" if several else group, section, f"{group}.", f"{group}/{option}"


def _keys(keys: Iterable[tuple[str, Any, Any]], defaults: dict[str, Any]) -> Iterator[str]:
    for name, field, kind in keys:
        limits = "".join(f", {_WORDS[limit]} {show(bound)}" for limit, bound in field.metadata["limits"].items())
        yield f"  {name} = {show(defaults[name])}"
        yield f"      {describe(kind)}{limits}: {field.metadata['doc']}"
