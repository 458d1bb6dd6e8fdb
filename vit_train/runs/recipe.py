"""`vit-runs recipe`: what a run did, as a recipe of one's own for conf/experiment."""

import argparse

from vit_train.config.compose import load_config
from vit_train.config.recipes import written_as_recipe
from vit_train.console import put
from vit_train.rundir.find import find_run
from vit_train.text import one_line


def run(options: argparse.Namespace) -> int:
    """Prints it, ready for a file."""
    found = find_run(options.run, options.outputs)
    config = load_config(file=str(found.config))
    name = one_line(found.path.name)
    put(f"# @package _global_\n# Trains as {name} did; as conf/experiment/NAME.yaml for vit-train experiment=NAME.")
    put(written_as_recipe(config).rstrip())
    return 0
