"""The page of `vit-runs check`: one file with the pictures in it, that needs no network."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vit_train.data.images import Dataset
from vit_train.data.survey import Part
from vit_train.report import pages
from vit_train.runs.findings import KINDS, Finding

_SHOWN = 24  # of each kind, and more of what is to be looked at one by one:
_SHOWN_WRONG = 120
# What a reader should know of each kind.
_MEANING = {
    "wrong": "Models that have not learned from these pictures agree more with another class than pictures of it do on "
    "average (confident learning). The surest come first. Look at them: a hard picture is among them, too; better than "
    "leaving out is to correct the label.",
    "leak": "A model knows the copy of what it has learnt, so that test or validation figures look too good. The copy "
    "to leave out is the one to learn from.",
    "label": "One of the two labels is wrong. Both pictures are to be left out if both are to learn from; better is to "
    "correct the label.",
    "copy": "They count twice, and may fall on both sides when validation pictures are drawn. All but the first are to "
    "be left out.",
    "blank": "Nothing can be learnt from one colour.",
    "tiny": "So few pixels may show little.",
    "turned": "Training, predict and evaluate turn them upright; another program that reads the files may not.",
    "size": "Far from the median in area or in shape: they may be another kind of picture.",
    "colour": "Their mean colour is far from the median: too dark, too light, or another kind of picture.",
}


def render(
    dataset: Dataset, parts: Sequence[Part], findings: Sequence[Finding], header: Sequence[str],
    summary: Sequence[Sequence[str]], notes: Sequence[str], accuracy: tuple[Sequence[str], Sequence[Sequence[str]]],
) -> str:  # fmt: skip
    """The page as HTML."""
    by_name = {part.name: part for part in parts}
    counts = [np.bincount(part.source.labels, minlength=len(dataset.class_names)).tolist() for part in parts]
    sections = []
    for kind, name in KINDS.items():
        own = list(_once(each for each in findings if each.kind == kind))
        if own:
            shown = [
                _shown(each, by_name, dataset.class_names)
                for each in own[: _SHOWN_WRONG if kind == "wrong" else _SHOWN]
            ]
            sections.append({"name": name, "meaning": _MEANING[kind], "count": len(own), "shown": shown, "kind": kind})
    return pages.template("check.html.j2").render(
        name=dataset.name,
        files=dataset.train.paths is not None,
        header=header,
        summary=summary,
        notes=notes,
        accuracy=accuracy,
        parts=[part.name for part in parts],
        classes=list(zip(dataset.class_names, *counts, strict=True)),
        sections=sections,
    )


def _once(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Without the second finding of a pair of copies, which is the first one from the other side."""
    seen = set()
    for each in findings:
        here = (each.part, each.row)
        if each.other is None or frozenset((here, each.other)) not in seen:
            yield each
        seen.add(frozenset((here, each.other)))


def _shown(finding: Finding, parts: dict[str, Part], class_names: Sequence[str]) -> dict[str, Any]:
    places = [(finding.part, finding.row), *([finding.other] if finding.other else [])]
    return {
        "name": parts[finding.part].names[finding.row],
        "label": class_names[parts[finding.part].source.labels[finding.row]],
        "reason": finding.reason,
        "pictures": [_address(parts[part], row) for part, row in places],
    }


def _address(part: Part, row: int) -> str:
    """The picture as training would read it, as a data URI."""
    return pages.png_address(part.source.read(np.array([row]))[0])
