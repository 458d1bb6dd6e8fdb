"""Measures parts of docs/performance.md: bench.py PART ... [--quick]."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import page, performance
from benchmarks.comparisons import PARTS
from benchmarks.interleave import ROOT, interleave
from vit_train.files import replace_file
from vit_train.rundir.environment import describe_environment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; none writes the page again")
    parser.add_argument("--quick", action="store_true", help="as little work as there can be, to try the program")
    parser.add_argument("--folder", type=Path, help="for page and results, in place of docs and benchmarks/results")
    options = parser.parse_args()
    folder = options.folder or (ROOT / "outputs" / "bench" if options.quick else None)
    results, target = folder or ROOT / "benchmarks" / "results", (folder or ROOT / "docs") / "performance.md"
    results.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        replace_file(results / f"{part}.json", json.dumps(measure(part, options.quick), indent=1) + "\n")
    print(performance.write(results, target))


def measure(part: str, quick: bool) -> dict[str, object]:
    """A part's results: all raw repetitions, and what they depend on."""
    groups = []
    for group in PARTS[part](quick):
        print(f"{part}: {group.title}", file=sys.stderr, flush=True)
        measured = interleave(group.commands, group.rounds)
        groups.append({"title": group.title, "steps": group.steps, "ours": group.ours, "results": measured})
    devices = {each["facts"].get("device", "cpu") for group in groups for each in group["results"]}
    return {
        "part": part,
        "quick": quick,
        "date": datetime.now(UTC).date().isoformat(),
        **page.machine(describe_environment(", ".join(sorted(devices)))),
        "groups": groups,
    }


if __name__ == "__main__":
    main()
