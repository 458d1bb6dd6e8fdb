"""The command `vit-train`: what its arguments ask for."""

import shlex
import sys
from collections.abc import Sequence

from vit_train import single
from vit_train.command_line import answered, prepare_process
from vit_train.config.groups import add_own_folder
from vit_train.errors import ConfigError
from vit_train.training.interrupt import end_on_signals


def main() -> int:
    """The command as a process of its own."""
    prepare_process()
    end_on_signals()  # before Hydra, where a KeyboardInterrupt comes out as some other error
    code = run(sys.argv[1:])
    if cluster := sys.modules.get("vit_train.machine.cluster"):  # which --help does not load
        cluster.leave(code)
    return code


def run(arguments: Sequence[str]) -> int:
    """Does what is asked for and returns the exit code."""
    return answered("vit-train", lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    if arguments[:1] in (["--candidates"], ["--completion"]):
        return _complete(*arguments)
    if arguments in (["--help"], ["-h"], ["help"]):
        from vit_train.config.usage import first_page  # reads no key, so it answers at once

        print(first_page(), end="")
        return 0
    from vit_train.config import plugins

    with plugins.named_in(arguments):
        return _answer(arguments)


def _answer(arguments: Sequence[str]) -> int:
    from vit_train.config.arguments import understood

    if arguments[:1] == ["help"]:
        arguments = ["--help", *arguments[1:]]
    parser = single.parser()
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("-c", "--cfg", choices=["job"])
    options, unknown = parser.parse_known_intermixed_args(understood(arguments))
    add_own_folder(options.config_dir)
    if options.help:
        return _help([topic for topic in options.overrides if not topic.startswith("plugin=")])
    if options.version:
        return _version()
    if unknown:
        raise _unknown(unknown)
    if options.multirun:
        if options.cfg:
            raise ConfigError("--cfg job: shows the config of one run; leave out -m")
        from vit_train.sweep import command

        return command.run(options.overrides, options.config)
    if options.cfg:
        return _show_config(options.overrides, options.config)
    return single.run(options.overrides, options.config, shlex.join(["vit-train", *arguments]))


def _help(topics: Sequence[str]) -> int:
    from vit_train.config.help import help_about, help_markdown, help_text

    whole = {"all": help_text, "markdown": help_markdown}
    topic = topics[0] if topics else "all"
    print(whole[topic]() if topic in whole else help_about(topic), end="")
    return 0


def _unknown(options: Sequence[str]) -> ConfigError:
    """The error for options that do not exist, which may be keys that were written like options."""
    from vit_train.config.arguments import kinds
    from vit_train.config.convert import nearest_key

    hint = nearest_key(options[0].lstrip("-").split("=")[0], kinds())
    hint = f"{hint}=VALUE" if hint else ""
    return ConfigError(f"unrecognized arguments: {' '.join(options)}{hint}; see vit-train --help")


def _version() -> int:
    from vit_train import __version__

    print(f"vit-train {__version__}")
    return 0


def _show_config(overrides: Sequence[str], file: str | None) -> int:
    from vit_train.config.compose import to_yaml
    from vit_train.rundir import resume

    print(to_yaml(resume.load(overrides, file)), end="")
    return 0


def _complete(asked: str, *words: str) -> int:
    """What a shell asks while somebody types, and what it evaluates to do so."""
    from vit_train import completion

    if asked == "--candidates":
        return completion.print_candidates(words, completion.of_train)
    print(completion.script(words[0] if words else ""), end="")
    return 0
