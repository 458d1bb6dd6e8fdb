"""The measured part of docs/performance.md: tables and sentences from results/*.json, and the figures beside them."""

import json
import statistics
from pathlib import Path

from benchmarks import page
from benchmarks.charts import draw_growth, draw_ratios
from benchmarks.measures import Growth, Result, ratios, slope, speeds

BEGIN = "<!-- written by make bench -->"
TITLES = {
    "throughput": ("Training, images per second", "make bench"),
    "recipes": ("Training with the recipes `fast` and `compact`, images per second", "make bench"),
    "finetune": ("Pretrained models at 224 pixels, images per second", "make bench-finetune"),
    "pipeline": ("Input pipeline, images per second", "make bench"),
    "start": ("Start, seconds", "make bench"),
    "end": ("Evaluation, images per second, and report, seconds", "make bench"),
    "growth": ("Growth", "make bench-growth"),
    "gpu": ("Training on a GPU, images per second", "make bench-gpu"),
}


def write(results: Path, target: Path) -> str:
    """Writes the page, which is made if there is none, and its figures; returns the measured part."""
    if not target.exists():
        target.write_text(f"{BEGIN}\n{page.END}\n")
    text = "\n\n".join(_section(part, results / f"{part}.json", target.parent) for part in TITLES)
    page.write_between_marks(target, BEGIN, text)
    return text


def _section(part: str, path: Path, folder: Path) -> str:
    title, command = TITLES[part]
    if not path.exists():
        return f"## {title}\n\nNot measured yet: `{command}`."
    measured = json.loads(path.read_text())
    body = _growth(measured, folder) if part == "growth" else _comparison(measured, folder)
    return f"## {title}\n\n{_machine(measured, command)}\n\n{body}"


def _machine(measured: Result, command: str) -> str:
    git = measured["git"] or {"commit": "of a wheel", "modified": False}
    versions = ", ".join(f"{name} {version}" for name, version in measured["packages"].items() if version)
    libraries = {each["facts"].get("library") for group in measured["groups"] for each in group["results"]} - {None}
    instructions = f" with {', '.join(measured['instructions'])}" if measured.get("instructions") else ""
    return (
        f"`{command}`{' in its quick form, which measures nothing' if measured['quick'] else ''}, {measured['date']}, "
        f"commit `{git['commit'][:9]}`{' with changes' if git['modified'] else ''}, on {measured['device']}; "
        f"{measured['cpus']} cores of {measured['processor']}{instructions}; "
        f"Python {measured['python']}, {', '.join([versions, *sorted(libraries)])}."
    )


def _comparison(measured: Result, folder: Path) -> str:
    """The table of a part, and the figure of its ratios."""
    lines = [
        "| what | contender | median | range | ours is faster by (range) | first step, s | peak memory, GiB |",
        "| :-- | :-- | --: | --: | --: | --: | --: |",
    ]
    for group in measured["groups"]:
        for place, each in enumerate(group["results"]):
            compared = ratios(each, group["results"][0]) if place >= group["ours"] else []
            lines.append(f"| {' | '.join([group['title'], each['contender'], *cells(each, compared)])} |")
    name = f"performance-{measured['part']}.png"
    draw_ratios(measured["groups"], folder / name)
    return "\n".join(lines) + f"\n\n![How many times faster ours is]({name})"


def cells(each: Result, compared: list[float]) -> list[str]:
    """What a contender did, in the columns of the table; `compared` are the ratios of its rounds."""
    if each["failed"]:
        return [f"failed: {each['failed']}", "", "", "", ""]
    values, digits = speeds(each)
    faster = f"{statistics.median(compared):.2f} ({min(compared):.2f} to {max(compared):.2f})" if compared else ""
    return [
        f"{statistics.median(values):.{digits}f}",
        f"{min(values):.{digits}f} to {max(values):.{digits}f}",
        faster,
        "" if each["images"] == 1 else f"{each['first_step']:.1f}",
        f"{each['peak_mib'] / 1024:.2f}",
    ]


def _growth(measured: Result, folder: Path) -> str:
    draw_growth(measured["groups"], folder / "performance-growth.png")
    sentences = [f"- {sentence(group)}" for group in measured["groups"]]
    return "\n".join(sentences) + "\n\n![Seconds and memory over what grows](performance-growth.png)"


def sentence(group: Result) -> str:
    """What grows how fast: slopes between the logarithms, so that 1 is linear; in all, and at the end."""
    found = Growth.of(group)
    if len(found.sizes) < 2:
        return f"{group['title']}: {'; '.join(each['failed'] for each in group['results'] if each['failed'])}"
    parts = {"time": found.seconds, "memory": found.memory}
    if group["title"] == "images":
        parts["start"] = found.start
    what = ", ".join(f"{name} as {_powers(group['title'], found.sizes, values)}" for name, values in parts.items())
    unit = "an epoch" if group["title"] == "images" else "a step"
    ends = [f"{values[0]:.3g} to {values[-1]:.3g}" for values in (found.seconds, found.memory)]
    return (
        f"{group['title']} {found.sizes[0]:,} to {found.sizes[-1]:,}: {what}; "
        f"{unit} takes {ends[0]} s, with at most {ends[1]} GiB"
    )


def _powers(title: str, sizes: list[int], values: list[float]) -> str:
    return f"{title}^{slope(sizes, values):.2f} (at the end ^{slope(sizes[-2:], values[-2:]):.2f})"
