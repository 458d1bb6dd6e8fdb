"""One run, from arguments to exit code: what the command, a job of a sweep and a node of a cluster all call."""

import argparse
import shlex
import sys
from collections.abc import Sequence

from vit_train.command_line import Parser, answered, output_lost
from vit_train.config.groups import add_own_folder
from vit_train.errors import CheckpointError
from vit_train.training.interrupt import end_on_signals


def parser() -> Parser:
    """The arguments of a run."""
    parser = Parser(prog="vit-train", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--config", metavar="FILE", type=_file)
    parser.add_argument("--config-dir", metavar="DIR", type=_file)
    return parser


def _file(name: str) -> str:
    """The name as it is; raises argparse's error if it is empty, as of a variable that is not set."""
    if not name:
        raise argparse.ArgumentTypeError("is empty; give the name of a file")
    return name


def main(arguments: Sequence[str]) -> int:
    """`vit-train ARGUMENT ...` of one run, in a process that does nothing else; returns the exit code."""

    def work() -> int:
        options = parser().parse_intermixed_args(arguments)
        add_own_folder(options.config_dir)
        from vit_train.config import plugins

        with plugins.named_in(arguments):
            return run(options.overrides, options.config, shlex.join(["vit-train", *arguments]))

    end_on_signals()
    return answered("vit-train", work)


def run(overrides: Sequence[str], file: str | None, command: str) -> int:
    """Trains and prints the result, whose last line is the run directory; `command` is for environment.json."""
    from vit_train.rundir import resume

    config = resume.load(overrides, file)
    from vit_train.console import print_table, put, say
    from vit_train.machine.cluster import Followed
    from vit_train.report.writer import result_table
    from vit_train.run import train

    try:
        report = train(config, command, together=True)
    except Followed:
        return 0
    try:
        with output_lost("vit-train"):
            print_table(*result_table(report))
            put(report.run_dir)
            sys.stdout.flush()
    except CheckpointError as error:  # the run has all the same come to its end
        say(f"note: {error}; the result is in {report.run_dir}")
    return 0
