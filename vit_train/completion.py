"""Tab completion of both commands: a shell hands over its words, and gets what the last of them may become.

It knows the keys, options and runs, loads no TensorFlow, and executes no plugin.
"""

import contextlib
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from vit_train.config.arguments import kinds
from vit_train.config.groups import add_own_folder, groups, options
from vit_train.errors import ConfigError

SCRIPTS = {
    "bash": """\
_vit_train() {
  local line="${COMP_LINE:0:COMP_POINT}" word each open=
  word="${line##* }"
  COMPREPLY=()
  while IFS= read -r each; do
    [[ $each == *[=/.] ]] && open=1
    # bash has split the word at its last =, and puts what it is given in place of what is behind that
    [[ $word == *=* && $COMP_WORDBREAKS == *=* ]] && each="${each#"${word%"${word##*=}"}"}"
    [[ $each == *[[:space:]\\'\\"\\(\\)\\&\\;\\$\\!\\#\\<\\>\\|\\`\\*\\?]* ]] && printf -v each %q "$each"
    COMPREPLY+=("$each")
  done < <(read -ra words <<< "$line"; [[ $line == *" " ]] && words+=("")
           "$1" --candidates "${words[@]}" 2>/dev/null)
  [[ $open ]] && compopt -o nospace
}
complete -F _vit_train vit-train vit-runs
""",
    "zsh": """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_vit_train() {
  local -a found open closed
  found=("${(@f)$("${words[1]}" --candidates "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
  open=("${(@M)found:#*[=/.]}") closed=("${(@)found:#(*[=/.]|)}")
  compadd -S '' -a open
  compadd -a closed
}
compdef _vit_train vit-train vit-runs
""",
    "fish": """\
function __vit_train
  set -l words (commandline -opc)
  $words[1] --candidates $words (commandline -ct) 2>/dev/null
end
complete -c vit-train -f -a '(__vit_train)'
complete -c vit-runs -f -a '(__vit_train)'
""",
}
_FLAGS = ["--cfg", "--completion", "--config", "--config-dir", "--help", "--multirun", "--version", "-m"]
_FILES = (
    "dataset.exclude",
    "dataset.root",
    "init",
    "outputs",
    "plugin",
    "resume",
    "sweep.resume",
)  # keys that take a path
_RUNS = ("init", "resume")
_AUTO = ("resume", "sweep.resume")


def script(shell: str) -> str:
    """What a shell evaluates to complete both commands; raises ConfigError for one that is not known."""
    if shell not in SCRIPTS:
        raise ConfigError(f"--completion {shell}: must be one of {', '.join(SCRIPTS)}")
    return SCRIPTS[shell]


def print_candidates(words: Sequence[str], find: Callable[[list[str], str], Iterable[str]]) -> int:
    """Prints, a line each, what `find` gives for (the words before, the last word), of which the first is the command.

    What goes wrong here is nothing to say while somebody types.
    """
    before, word = list(words[1:-1]), words[-1] if len(words) > 1 else ""
    with contextlib.suppress(Exception):
        for each in dict.fromkeys(find(before, word)):
            if each.startswith(word) and each.isprintable():
                print(each)
    return 0


def of_train(before: list[str], word: str) -> Iterable[str]:
    """Those of `vit-train`."""
    last = before[-1] if before else ""
    if "--config-dir" in before[:-1]:
        add_own_folder(before[before.index("--config-dir") + 1])
    if last in ("--config", "--config-dir"):
        return files(word)
    if last in ("--completion", "--cfg", "-c"):
        return list(SCRIPTS) if last == "--completion" else ["job"]
    sweeps = bool({"-m", "--multirun"} & set(before))
    if last in ("--help", "-h", "help"):
        return [*groups(), *kinds(), "all"]
    if word.startswith("-"):
        return _FLAGS
    key, equals, value = word.partition("=")
    if not equals:
        return _keys(word, sweeps)
    # Of a list, what is behind the last comma.
    start = max(value.rfind(","), value.rfind("[")) + 1 if sweeps or value.startswith("[") else 0
    return [f"{key}={value[:start]}{each}" for each in _values(key, value[start:], before)]


def _keys(word: str, sweeps: bool) -> list[str]:
    """Groups and keys as far as the next dot, so that there are few to choose from."""
    names = [f"{name}=" for name in (*groups(), *kinds(), "sweep.launcher") if sweeps or name.split(".")[0] != "sweep"]
    dots = word.count(".")
    parts = [name.split(".") for name in names if name.startswith(word)]
    return [".".join(each[: dots + 1]) + ("." if len(each) > dots + 1 else "") for each in parts]


def _values(key: str, value: str, before: list[str]) -> list[str]:
    if key in groups() or key == "sweep.launcher":
        return options(key.replace(".", "/"))
    found = [*_choices(kinds().get(key)), *(["auto"] if key in _AUTO else [])]
    if key in _RUNS:
        outputs = [text.partition("=")[2] for text in before if text.startswith("outputs=")]
        found += runs(Path(outputs[-1] if outputs else "outputs"))
    return found + (files(value) if key in _FILES else [])


def _choices(kind: Any) -> list[str]:
    """The values of an enumeration, and the words that a key takes besides numbers and text."""
    if kind is bool:
        return ["true", "false"]
    if kind is type(None):
        return ["null"]
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        return list(map(str, parts))
    return [each for part in parts for each in _choices(part)] if isinstance(kind, types.UnionType) else []


def runs(outputs: Path) -> list[str]:
    """The run directories in a folder, the newest first."""
    from vit_train.rundir.find import all_runs  # which loads rich

    return [str(run.path) for run in reversed(all_runs(outputs))]


def files(word: str) -> list[str]:
    """Files and folders, these with a slash, that a path may become."""
    typed, _, name = word.rpartition("/")
    prefix = f"{typed}/" if "/" in word else ""
    found = sorted(Path(prefix or ".").expanduser().iterdir())
    return [
        f"{prefix}{path.name}{'/' if path.is_dir() else ''}"
        for path in found
        if not path.name.startswith(".") or name.startswith(".")
    ]
