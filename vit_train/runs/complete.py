"""Tab completion of `vit-runs`, from its own parser."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from vit_train.completion import files
from vit_train.config.groups import groups


def candidates(parser: argparse.ArgumentParser, before: list[str], word: str) -> Iterable[str]:
    """What the last word may become: verbs, runs, flags, their values, files."""
    (verbs,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    if not before:
        return [*verbs.choices, "--help"]
    actions: list[argparse.Action] = verbs.choices[before[0]]._actions
    flags = {name: each for each in actions for name in each.option_strings}
    if (option := flags.get(before[-1])) and option.nargs != 0:
        return _of(option, before, word)
    if word.startswith("-"):
        return flags
    plain = [each for i, each in enumerate(before[1:]) if not each.startswith("-") and not _is_value(flags, before[i])]
    positional = [each for each in actions if not each.option_strings]
    return _of(positional[min(len(plain), len(positional) - 1)], before, word) if positional else ()


def _is_value(flags: dict[str, argparse.Action], previous: str) -> bool:
    return previous in flags and flags[previous].nargs != 0


def _of(action: argparse.Action, before: list[str], word: str) -> Iterable[str]:
    """The values of a flag or an argument, by what the help calls it."""
    if action.choices:
        return list(map(str, action.choices))
    if action.dest == "dataset":
        return groups()["dataset"]
    if action.dest == "reference":
        from vit_train.runs.references import names

        return names()
    if action.metavar == "RUN":
        from vit_train.rundir import find

        outputs = Path(before[before.index("--outputs") + 1]) if "--outputs" in before else Path("outputs")
        found = [find.name(run, outputs) for run in reversed(find.all_runs(outputs))]
        return ["latest", *found, *(files(word) if word else ())]
    return files(word) if action.metavar in ("FILE", "PATH", "DIR", "PICTURE", "DATA") else ()
