"""The command `vit-runs VERB RUN ...`: looks at finished runs and uses their models."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from vit_train.command_line import Parser, answered, prepare_process

_EPILOG = """\
RUN is a path, a part of the run's name that no other has, or `latest`.

  vit-runs list
  vit-runs watch
  vit-runs show latest
  vit-runs card latest --license apache-2.0 > README.md
  vit-runs push latest ORG/NAME --license apache-2.0 --yes
  vit-runs recipe latest > conf/experiment/mine.yaml
  vit-runs compare 18-31 19-02 --plot curves.png
  vit-runs compare latest --reference keras_io_2021
  vit-runs evaluate latest --dataset cifar10
  vit-runs predict latest cat.jpg holiday/ --csv
  vit-runs demo latest
  vit-runs unknown latest --score energy --false-alarms 0.05
  vit-runs figures latest
  vit-runs repair latest
  vit-runs remove 18-31 19-02 --yes
  vit-runs export latest --format onnx
  vit-runs weights vit_small/model.safetensors
  vit-runs check pictures/
  vit-runs check --sweep outputs/2026-11-27/18-31-02.123456-sweep
  vit-runs cache

Exit codes: 0 done, 2 arguments, 3 a picture or data, 4 a run that cannot be read or written, 130 stopped by Ctrl-C.
"""


def main() -> int:
    """The command as a process of its own."""
    prepare_process()
    signal.signal(signal.SIGINT, _quit)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has seen enough, such as `head`, ends it
    return run(sys.argv[1:])


def run(arguments: Sequence[str]) -> int:
    """Runs one verb and returns its exit code."""

    def work() -> int:
        if arguments[:1] == ["--candidates"]:
            from vit_train.completion import print_candidates
            from vit_train.runs import complete

            return print_candidates(arguments[1:], partial(complete.candidates, parser()))
        options = parser().parse_args(arguments)
        # Only the verb asked for is imported, so that those that read files never wait for TensorFlow.
        with _plugins(getattr(options, "plugin", ())):
            return int(importlib.import_module(f"vit_train.runs.{options.module}").run(options))

    return answered("vit-runs", work)


def _quit(number: int, frame: object) -> None:
    """Ends at once: there is nothing to save, and C++ code that is being imported aborts on a KeyboardInterrupt."""
    os.write(2, b"vit-runs: interrupted\n")
    os._exit(128 + number)


def parser() -> argparse.ArgumentParser:
    """What the command line may say."""
    command = Parser(
        prog="vit-runs",
        description="Looks at runs of vit-train and uses their models.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verbs = command.add_subparsers(metavar="VERB", required=True)
    _add_readers(verbs)
    _add_others(verbs)
    _add_users(verbs)
    return command


def _add_readers(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """The verbs that only read files."""
    verb = _add(verbs, "list", "listing", "a table of all runs")
    verb.add_argument("--json", action="store_true", help="print it as JSON")

    verb = _add(verbs, "watch", "watch", "a table of the runs in training, renewed until there is none")
    verb.add_argument("--every", metavar="SECONDS", type=_seconds, default=5, help="(default: %(default)s)")

    verb = _add(verbs, "show", "show", "the report of a run, and where its files are")
    verb.add_argument("run", metavar="RUN")

    verb = _add(verbs, "recipe", "recipe", "the settings of a run as a recipe, for conf/experiment/NAME.yaml")
    _add_run_and_plugin(verb)

    verb = _add(verbs, "card", "card", "a model card for the Hugging Face Hub, of what was measured")
    _add_run_and_plugin(verb)
    verb.add_argument(
        "--license", metavar="ID", help="a licence as the Hub calls it, such as apache-2.0; none unless told"
    )

    verb = _add(verbs, "push", "push", "a run to the Hugging Face Hub; without --yes it only says what it would upload")
    _add_run_and_plugin(verb)
    verb.add_argument("repository", metavar="ORG/NAME", help="the model's place on the Hub, made if it is not there")
    verb.add_argument("--license", metavar="ID", help="as for card")
    verb.add_argument("--public", action="store_true", help="let everybody see a repository that is made; else private")
    verb.add_argument("--yes", action="store_true", help="do it")

    verb = _add(verbs, "compare", "compare", "configs that differ, results and curves, side by side")
    verb.add_argument("runs", metavar="RUN", nargs="+")
    verb.add_argument("--reference", metavar="NAME", help="compare one run with a published one, such as keras_io_2021")
    verb.add_argument("--plot", metavar="FILE", type=Path, default=Path("compare.png"), help="(default: %(default)s)")


def _add_others(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """The verbs about weights, data and space, which load no model of a run."""
    verb = _add(verbs, "weights", "weights", "what a file of other programs' weights holds, and what init= makes of it")
    verb.add_argument(
        "file", metavar="FILE", help="what init= takes of them: a .safetensors or .npz file, a folder, hf:ORG/NAME"
    )

    verb = _add(verbs, "check", "check", "what is wrong with a data set: copies, labels, files, unusual pictures")
    verb.add_argument("data", metavar="DATA", nargs="?",
                      help="cifar10, cifar100, digits, a folder of pictures or a table of them")  # fmt: skip
    verb.add_argument("settings", metavar="KEY=VALUE", nargs="*", help="more keys, such as dataset.exclude=FILE")
    verb.add_argument("--output", metavar="DIR", type=Path, default=Path("check"),
                      help="the folder for the page and the tables (default: %(default)s)")  # fmt: skip
    verb.add_argument("--sweep", metavar="DIR", type=Path,
                      help="a sweep over folds, in place of DATA: likely wrong labels, too")  # fmt: skip
    _add_plugin(verb)
    verb.add_argument("--run", metavar="RUN", help="a run on these data: its accuracy with and without the copies")

    verb = _add(
        verbs, "remove", "remove", "move runs into a bin, OUTPUTS/.bin; without --yes it only says what it would do"
    )
    verb.add_argument("runs", metavar="RUN", nargs="*")
    verb.add_argument("--empty-bin", action="store_true", help="delete the runs in the bin for good")
    verb.add_argument("--yes", action="store_true", help="do it")

    verb = _add(verbs, "cache", "cache", "features and pictures that runs keep for later ones, and their size")
    verb.add_argument("--clear", action="store_true", help="remove them")


def _add_users(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """The verbs that load the model."""
    verb = _add(verbs, "evaluate", "evaluate", "test figures of the model, on its own or another data set")
    _add_run_and_plugin(verb)
    verb.add_argument("--dataset", metavar="NAME", help="another data set with the same classes, all of its test set")
    verb.add_argument("--root", metavar="PATH", help="where the data set's files are, as dataset.root")
    verb.add_argument("--tta", choices=["flip"], help="decide by the mean logits of each image and its mirror image")

    verb = _add(verbs, "predict", "predict", "the likeliest classes of one's own pictures")
    _add_run_and_plugin(verb)
    verb.add_argument("pictures", metavar="PICTURE", nargs="+", type=Path, help="a file, or a folder with all in it")
    verb.add_argument(
        "--top", metavar="K", type=_top, default=5, help="how many classes, or all (default: %(default)s)"
    )
    form = verb.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")

    verb = _add(verbs, "demo", "demo", "a page on this machine to drop pictures on: classes, and where attention looks")
    _add_run_and_plugin(verb)
    verb.add_argument("--port", metavar="N", type=_port, default=8000, help="0 is any free one (default: %(default)s)")

    verb = _add(verbs, "unknown", "unknown", "when a run's model answers `none of these`, and how well that works")
    _add_run_and_plugin(verb)
    verb.add_argument("--score", choices=["confidence", "energy", "none"],
                      help="refuse images by it from now on, as evaluate.unknown; none refuses nothing")  # fmt: skip
    verb.add_argument("--false-alarms", metavar="RATE", default="0.05",
                      help="fraction of the validation images that may be refused (default: %(default)s)")  # fmt: skip
    verb.add_argument("--against", metavar="DATA", nargs="+", default=[],
                      help="images of none of the classes: a folder, cifar10, cifar100, digits or noise")  # fmt: skip
    verb.add_argument("--root", metavar="PATH", help="where the files of cifar10 or cifar100 are, as dataset.root")

    verb = _add(verbs, "figures", "redraw", "draw the figures and pages of a run again; no number changes")
    _add_run_and_plugin(verb)

    verb = _add(verbs, "repair", "repair", "make damaged files of a finished run again, from its checkpoint and data")
    _add_run_and_plugin(verb)

    verb = _add(verbs, "export", "export", "the model for other programs: uint8 images in, probabilities out")
    _add_run_and_plugin(verb)
    verb.add_argument(
        "--format",
        required=True,
        choices=["keras", "saved_model", "onnx", "litert"],
        help="keras is for vit_train.load_model, the others need nothing of vit-train",
    )
    verb.add_argument("--output", metavar="PATH", type=Path, help="(default: in the run's folder exports/)")


def _seconds(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of 1 or more")
    return int(text)


def _port(text: str) -> int:
    """A whole number from 0 to 65535."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 0 to 65535")
    return int(text)


def _top(text: str) -> int | None:
    """A whole number from 1 on, or None for `all`."""
    if text == "all":
        return None
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is neither a whole number, 1 or more, nor all")
    return int(text)


def _plugins(files: Sequence[str]) -> AbstractContextManager[None]:
    if not files:
        return nullcontext()
    from vit_train.config import plugins

    return plugins.loaded(files, "--plugin ")


def _add_run_and_plugin(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run", metavar="RUN")
    _add_plugin(verb)


def _add_plugin(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--plugin", metavar="FILE", action="append", default=[],
                      help="a file that the run was made with by plugin=FILE; may be given again")  # fmt: skip


def _add(verbs: "argparse._SubParsersAction[Parser]", name: str, module: str, about: str) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=about, description=about, allow_abbrev=False)
    verb.add_argument("--outputs", metavar="DIR", type=Path, default=Path("outputs"),
                      help="the folder of all runs (default: %(default)s)")  # fmt: skip
    verb.set_defaults(module=module)
    return verb
