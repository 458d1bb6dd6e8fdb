"""A worker's side of a benchmark: it does a piece of work each time it is told to, and says how long that took.

A worker writes a line when its first step is done and another when it is warm; then, for each line on stdin, it works
and writes the seconds. Between its turns it is blocked, so several can share a machine without disturbing each other.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable

# What libraries print must not get between the replies.
_replies = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def settings() -> tuple[argparse.Namespace, list[str]]:
    """What every contender can be told, and the arguments that are left."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=1, help="of one turn")
    parser.add_argument("--depth", type=int, default=8, help="blocks of the network of the keras.io example")
    parser.add_argument("--image-size", type=int, default=32, help="side of the random images, in pixels")
    parser.add_argument("--images", type=int, help="in all (default: those of one turn)")
    options, rest = parser.parse_known_args()
    options.images = options.images or options.steps * options.batch_size
    return options, rest


def first_step_done() -> None:
    """To be said once the result of the first step is known."""
    print("first step", file=_replies)


def warm(images: int, **facts: str) -> None:
    """To be said after a whole turn's work was done once; `images` is how many go through a turn."""
    print(json.dumps({"images": images, **facts}), file=_replies)


def wait() -> None:
    """Returns when it is this worker's turn; ends the process when there are no more."""
    if not sys.stdin.readline():
        sys.exit()


def done(seconds: float) -> None:
    """Ends a turn."""
    print(seconds, file=_replies)


def train(work: Callable[[int], object], options: argparse.Namespace, **facts: str) -> None:
    """Takes turns to the end, each `work` on all images; once before it is a step, and once all of them, to be warm."""
    work(options.batch_size)
    first_step_done()
    work(options.images)
    warm(options.images, **facts)
    serve(lambda: work(options.images))


def serve(work: Callable[[], object]) -> None:
    """Takes turns to the end, each with one call of `work`, which must not return before the result is known."""
    while True:
        wait()
        began = time.perf_counter()
        work()
        done(time.perf_counter() - began)
