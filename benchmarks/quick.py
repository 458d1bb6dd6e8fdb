"""Whether a change made training faster or slower: python -m benchmarks.quick OTHER [SHAPE ...] [--rounds N].

This checkout and OTHER, a folder or a commit of this repository, train each shape in turns. Said is how many times as
fast this one is: the median over the rounds, and a 95 % interval of the mean.
"""

import argparse
import math
import statistics
import sys
from pathlib import Path

from benchmarks.interleave import ROOT, interleave
from benchmarks.same_results import checked_out
from vit_train.sweep.ranking import half_of_interval

FAST = "--batch-size=128 --depth=4 experiment=fast train.low_resolution=null train.low_resolution_epochs=0"
SHAPES = {
    "reference, batches of 64": "--batch-size=64 --steps=2",
    "fast, 24 pixels": f"--steps=6 {FAST} model.image_size=24",
    "fast, 32 pixels": f"--steps=4 {FAST}",
    "ViT-Ti/16, 224 pixels": "--batch-size=16 --steps=1 --depth=12 --image-size=224 model=vit_tiny",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other")
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"the beginning of one of: {'; '.join(SHAPES)}")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_intermixed_args()
    wanted = {name: SHAPES[name] for name in SHAPES if name.startswith(tuple(options.shapes) or "")}
    if not wanted or options.rounds < 2:
        parser.error(f"needs 2 rounds and a shape; the shapes are {'; '.join(SHAPES)}")
    failed = False
    with checked_out(options.other) as other:
        for name, arguments in wanted.items():
            trees = {"ours": ROOT, "theirs": other}
            commands = {side: _command(tree, arguments) for side, tree in trees.items()}
            ours, theirs = interleave(commands, options.rounds)
            fault = ours["failed"] or theirs["failed"]
            failed = failed or bool(fault)
            print(f"{name:26s} {fault or verdict(ours['seconds'], theirs['seconds'])}", flush=True)
    return 1 if failed else 0


def _command(tree: Path, arguments: str) -> list[str]:
    # Python looks for modules in the working directory first.
    return ["env", f"--chdir={tree}", f"PYTHONPATH={tree}", sys.executable, "-m", "benchmarks.ours", *arguments.split()]


def verdict(ours: list[float], theirs: list[float]) -> str:
    """What the seconds of so many rounds say; the interval is Student's, of the logarithms of the ratios."""
    logs = [math.log(theirs / ours) for ours, theirs in zip(ours, theirs, strict=True)]
    reach = half_of_interval(statistics.stdev(logs), len(logs))
    low, high = (math.exp(statistics.mean(logs) + side * reach) for side in (-1, 1))
    word = "faster" if low > 1 else "slower" if high < 1 else "no difference seen"
    return f"{math.exp(statistics.median(logs)):.2f} times as fast, {low:.2f} to {high:.2f}: {word}"


if __name__ == "__main__":
    sys.exit(main())
