"""Where text leaves the program: names of files and classes, and what else others chose, for each kind of reader.

A name may hold anything: control codes that move a terminal's cursor, marks of Markdown and HTML, a formula for a
spreadsheet. Figures have `vit_train.report.canvas.legible`, which asks the fonts, too.
"""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")  # also in the wide forms that East Asian systems take
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# What Markdown and its dialects act on inside a line; an underscore inside a word is none.
_MARKS = re.compile(
    r"[\\`*~\[<|$]|@(?=\w)|(?<![^\W_])_|_(?![^\W_])"  # emphasis, links, tags, columns, mathematics, mentions
    r"|&(?=#?\w+;)|:(?=//|[\w+-]*[a-z_][\w+-]*:)|(?<!\d):(?=\d+:)|(?<=www)\."  # entities, addresses and emoji
)


def one_line(text: str) -> str:
    r"""`text` in one line of visible characters: line breaks, control and direction codes are escapes, such as \n."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def some(names: Iterable[str], most: int = 5) -> str:
    """The first of many names, for a sentence."""
    several = list(names)
    return ", ".join(several[:most]) + (", ..." if len(several) > most else "")


def is_utf8(text: str) -> bool:
    """Whether it can be written as UTF-8: a file's name can be other bytes, which Python has as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def lines(text: str) -> str:
    """`text` as `one_line`, but with its line breaks."""
    return "\n".join(map(one_line, text.split("\n")))


def markdown(text: str) -> str:
    """`text` for inside a line or a cell of Markdown, where it is shown as it is."""
    return _MARKS.sub(r"\\\g<0>", one_line(text))


def markdown_code(text: str) -> str:
    """`text` as a code span of Markdown, whatever backticks are in it."""
    text = one_line(text)
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    blank = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def csv_cell(text: str) -> str:
    """`text` for a cell of CSV, in which no spreadsheet sees a formula: what could begin one comes after an apostrophe.

    Numbers stay as they are. `from_csv_cell` takes the apostrophe off.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def from_csv_cell(text: str) -> str:
    """The text that `cell` was given."""
    return text[1:] if text.startswith("'") and csv_cell(text[1:]) == text else text


def for_html(value: Any) -> Any:
    """What a page prints, as Jinja's `finalize`: text is one visible line; Jinja escapes it then."""
    return one_line(str(value)) if _is_plain(value) else value


def for_markdown(value: Any) -> Any:
    """What report.md prints, as Jinja's `finalize`: text is shown as it is, unless it is Markdown already."""
    return markdown(str(value)) if _is_plain(value) else value


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | Path) and not hasattr(value, "__html__")  # which says that it is markup


def quoted_value(text: str) -> str:
    """`text` as a value that Hydra's grammar takes as it is, whatever is in it."""
    escaped = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def without_references(text: str) -> str:
    r"""`text` with ${ escaped as OmegaConf reads it: \${, after twice the backslashes that were there."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def as_they_stand(value: Any) -> Any:
    """The plain values of a file, of which OmegaConf takes none for a reference to another key, such as a path's ${x}.

    Only an argument may refer to keys, those of the file.
    """
    if isinstance(value, dict):
        return {name: as_they_stand(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_they_stand(each) for each in value]
    return without_references(value) if isinstance(value, str) else value


def setting(key: str, value: str | Path) -> str:
    """KEY=VALUE for a path or another text, as vit-train takes it."""
    text = str(value)
    if "${" in text:  # which would refer to another key, also between quotes
        return f"{key}={quoted_value(without_references(text))}"
    plain = text and text[0] not in "'\"[{~" and text.casefold() != "null"
    return f"{key}={text}" if plain else f"{key}={quoted_value(text)}"


def command(*arguments: str) -> str:
    """The line that does in a shell what vit-train does with these arguments."""
    return shlex.join(["vit-train", *arguments])


def to_resume(run: Path) -> str:
    """The argument that continues with a run, as it can be pasted into a shell."""
    return shlex.quote(setting("resume", run))
