"""The command `vit-train`: Hydra's arguments in, a run and an exit code out."""

import argparse
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import NoReturn

from vit_train.errors import ConfigError, VitTrainError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see vit-train --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; `arguments` default to those of the process."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _run(arguments)
    except VitTrainError as error:
        from vit_train.console import say_error

        say_error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        print("vit-train: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """Says an error that came before there was a run directory with its train.log."""
    from vit_train.console import say_error

    with tempfile.NamedTemporaryFile("w", prefix="vit-train-", suffix=".log", delete=False) as file:
        traceback.print_exception(error, file=file)
    say_error(f"unexpected {type(error).__name__}; the traceback is in {file.name}")
    return 1


def _run(arguments: list[str]) -> int:
    if arguments[:1] in (["-sc"], ["--shell-completion"]):
        return _complete()
    options = _parse(arguments)
    if options.help or options.version:
        _inform(options.version)
        return 0
    if options.multirun:
        from vit_train.sweep.command import run

        if options.cfg:
            raise ConfigError("--cfg job: shows the config of one run; leave out -m")
        return run(options.overrides, options.config)
    from vit_train.config.compose import to_yaml
    from vit_train.rundir import resume

    config = resume.load(options.overrides, options.config)
    if options.cfg:
        print(to_yaml(config), end="")
        return 0
    from vit_train.console import print_table, put
    from vit_train.report.writer import RESULT_HEADER, result_rows
    from vit_train.run import train
    from vit_train.training.interrupt import end_on_signals

    end_on_signals()
    report = train(config)
    print_table(RESULT_HEADER, result_rows(report))
    put(report.run_dir)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="vit-train", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("-c", "--cfg", choices=["job"])
    parser.add_argument("--config", metavar="FILE")
    return parser.parse_intermixed_args(arguments)


def _inform(version: bool) -> None:
    if version:
        from vit_train import __version__

        print(f"vit-train {__version__}")
    else:
        from vit_train.config.help import help_text

        print(help_text(), end="")


def _complete() -> int:
    """Tab completion, which Hydra does from the same files; it reads the arguments of the process."""
    import hydra

    from vit_train.config.groups import config_folder

    hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="config")(lambda _: None)()
    return 0
