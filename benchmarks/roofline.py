"""How near training comes to what the machine can do: the table and the figure "Roofline" of docs/performance.md.

Of a block's forward operations, each alone on all cores and in turns with the others: the floating-point operations in
a second, over those for each byte that must be read or written once (Williams et al., doi:10.1145/1498765.1498785).
The two roofs are what an elementwise operation moves in a second, and the rate of a large product. Of a training step:
its operations, three times those of the way to the logits, in the time that it takes here and now.
"""

import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from benchmarks import page
from benchmarks.interleave import ROOT, interleave
from benchmarks.time_to_accuracy import training_flop
from vit_train.config.compose import load_config
from vit_train.files import replace_file
from vit_train.report import canvas
from vit_train.rundir.environment import describe_environment

BEGIN = "<!-- written by make bench-roofline -->"
ONE_SIZE = "train.low_resolution=null train.low_resolution_epochs=0"
# What is trained: arguments of vit-train, images of a step, steps of a turn.
RECIPES = {
    "reference": ("experiment=keras_io_2021", 64, 2),
    "fast": (f"experiment=fast {ONE_SIZE}", 128, 4),
    "compact": (f"experiment=compact {ONE_SIZE}", 128, 2),
    "ViT-Ti/16": ("model=vit_tiny", 16, 2),
}
PRECISIONS = {"float32": 4, "bfloat16": 2}  # and the bytes of a number
MARKS = {"projection": "o", "MLP": "s", "attention": "^", "depthwise": "D"}
COLOURS = dict(zip(RECIPES, (canvas.BLUE, canvas.ORANGE, "#009E73", "#CC79A7"), strict=True))  # of Okabe and Ito, too


class Operation(NamedTuple):
    """`run` computes it; `flop` and `numbers` are what it computes, and reads and writes at least."""

    recipe: str
    kind: str
    precision: str
    flop: float
    numbers: float
    run: Callable[[], Any]


def main() -> int:
    quick = "--quick" in sys.argv
    rounds = 1 if quick else 25
    flop = training_flops()
    peaks = {precision: _peak(precision, 256 if quick else 4096, rounds) for precision in PRECISIONS}
    bandwidth = _bandwidth(2**20 if quick else 2**26, rounds)
    alone = [each for recipe in RECIPES for precision in PRECISIONS for each in operations(recipe, precision)]
    points = [
        {name: value for name, value in each._asdict().items() if name != "run"} | {"seconds": seconds}
        for each, seconds in zip(alone, _medians([each.run for each in alone], rounds), strict=True)
    ]
    measured = {
        "date": datetime.now(UTC).date().isoformat(),
        **page.machine(describe_environment("cpu")),
        "peaks": peaks,
        "bandwidth": bandwidth,
        "operations": points,
        "steps": [
            _step(recipe, precision, flop[recipe], 1 if quick else 5) for recipe in RECIPES for precision in PRECISIONS
        ],
    }
    if quick:
        print(_table(measured))
        return 0
    replace_file(ROOT / "benchmarks/results/roofline.json", json.dumps(measured, indent=1) + "\n")
    write(measured, ROOT / "docs")
    return 0


def write(measured: dict[str, Any], docs: Path) -> None:
    """Puts the table into performance.md and draws the figure beside it."""
    page.write_between_marks(docs / "performance.md", BEGIN, _table(measured))
    canvas.save(lambda: _figure(measured), docs / "performance-roofline.png")


def training_flops() -> dict[str, float]:
    """Of each recipe, for an image. It takes JAX as Keras' backend, so nothing may have loaded TensorFlow before."""
    configs = {recipe: load_config(arguments.split()) for recipe, (arguments, _, _) in RECIPES.items()}
    return {recipe: training_flop(config, config.model.image_size) for recipe, config in configs.items()}


def _peak(precision: str, side: int, rounds: int) -> float:
    """FLOP/s of a large product."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal([side, side]), precision)
    return 2 * side**3 / _medians([lambda: tf.matmul(matrix, matrix)], rounds)[0]


def _bandwidth(size: int, rounds: int) -> float:
    """Bytes that are read and written in a second by an operation on each of many numbers."""
    import tensorflow as tf

    numbers = tf.zeros([size])
    return 8 * size / _medians([lambda: numbers + 1.0], rounds)[0]


def operations(recipe: str, precision: str) -> list[Operation]:
    """The forward operations of one block for a batch, as TensorFlow is asked for them."""
    import tensorflow as tf

    arguments, batch, _ = RECIPES[recipe]
    model = load_config(arguments.split()).model
    tokens = (model.image_size // model.patch_size) ** 2
    width, heads = model.projection_dim, model.heads
    head, hidden = model.key_dim or width // heads, round(model.mlp_ratio * width)

    def numbers(*shape: int) -> tf.Tensor:
        return tf.cast(tf.random.normal(shape), precision)

    def product(kind: str, *shape: int) -> Operation:
        """[..., M, K] by [..., K, N]."""
        *many, rows, shared, columns = shape
        left, right = numbers(*many, rows, shared), numbers(*many, shared, columns)
        flop = 2 * math.prod(shape)
        moved = math.prod(many) * (rows * shared + shared * columns + rows * columns)
        return Operation(recipe, kind, precision, flop, moved, lambda: tf.matmul(left, right))

    found = [
        product("projection", batch * tokens, width, 3 * heads * head),
        product("projection", batch * tokens, heads * head, width),
        product("attention", batch * heads, tokens, head, tokens),
        product("attention", batch * heads, tokens, tokens, head),
        product("MLP", batch * tokens, width, hidden),
        product("MLP", batch * tokens, hidden, width),
    ]
    if model.mlp == "conv":
        side = math.isqrt(tokens)
        images, kernel = numbers(batch, side, side, hidden), numbers(3, 3, hidden, 1)
        size = batch * tokens * hidden
        found.append(Operation(recipe, "depthwise", precision, 18 * size, 2 * size,
                               lambda: tf.nn.depthwise_conv2d(images, kernel, [1, 1, 1, 1], "SAME")))  # fmt: skip
    return found


def _medians(functions: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Seconds of each, in turns, after one that is not counted."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds + 1):
        for function, found in zip(functions, seconds, strict=True):
            began = time.perf_counter()
            function()
            found.append(time.perf_counter() - began)
    return [statistics.median(found[1:]) for found in seconds]


def _step(recipe: str, precision: str, flop: float, rounds: int) -> dict[str, Any]:
    """Images per second and FLOP/s of training, by the program's own trainer in a process of its own."""
    arguments, batch, steps = RECIPES[recipe]
    config = load_config(arguments.split())
    options = [f"--batch-size={batch}", f"--steps={steps}", f"--depth={config.model.depth}", f"--precision={precision}"]
    command = [sys.executable, "-m", "benchmarks.ours", *options, f"--image-size={config.model.image_size}"]
    (found,) = interleave({recipe: [*command, *arguments.split()]}, rounds)
    if found["failed"]:
        raise RuntimeError(f"{recipe}: {found['failed']}")
    speed = found["images"] / statistics.median(found["seconds"])
    return {"recipe": recipe, "precision": precision, "images_per_second": speed, "flop_per_second": speed * flop}


def _table(measured: dict[str, Any]) -> str:
    peaks, flags = measured["peaks"], ", ".join(measured["instructions"])
    machine = f"{measured['cpus']} cores of {measured['processor']} with {flags}"
    source = f"`make bench-roofline`, {measured['date']}, commit `{measured['git']['commit'][:9]}`"
    rates = " and ".join(f"{peak / 1e9:,.0f} GFLOP/s in {precision}" for precision, peak in peaks.items())
    lines = [
        f"{source}, {machine}: a large product has {rates}, memory {measured['bandwidth'] / 1e9:.0f} GB/s.",
        "",
        "| training | precision | images/s | GFLOP/s | of a large product's |",
        "| :-- | :-- | --: | --: | --: |",
    ]
    for each in measured["steps"]:
        share = each["flop_per_second"] / peaks[each["precision"]]
        cells = f"{each['images_per_second']:,.0f} | {each['flop_per_second'] / 1e9:,.0f} | {share:.0%}"
        lines.append(f"| `{each['recipe']}` | {each['precision']} | {cells} |")
    return "\n".join([*lines, "", "![GFLOP/s over FLOP for each byte, by operation](performance-roofline.png)"])


def _figure(measured: dict[str, Any]) -> Figure:
    figure = canvas.figure("What a block's operations reach, each alone", 9, 4.2)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (precision, bytes_of_one) in zip(panels, PRECISIONS.items(), strict=True):
        peak, bandwidth = measured["peaks"][precision] / 1e9, measured["bandwidth"] / 1e9
        axes.plot([1, peak / bandwidth, 300], [bandwidth, peak, peak], color=canvas.GREY, linewidth=1)
        for each in measured["operations"]:
            if each["precision"] == precision:
                place = each["flop"] / each["numbers"] / bytes_of_one, each["flop"] / each["seconds"] / 1e9
                axes.plot(*place, MARKS[each["kind"]], color=COLOURS[each["recipe"]], markersize=5, alpha=0.8)
        axes.set(
            xscale="log", yscale="log", ylim=(10, 1000), title=f"{precision}: a large product has {peak:,.0f} GFLOP/s"
        )
        axes.set_xlabel("FLOP for each byte that is read or written")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        axes.grid()
    panels[0].set_ylabel("GFLOP/s")
    for name, colour in COLOURS.items():
        panels[1].plot([], [], "o", color=colour, label=name)
    for name, mark in MARKS.items():
        panels[1].plot([], [], mark, color=canvas.GREY, label=name)
    figure.legend(loc="outside right center")
    return figure


if __name__ == "__main__":
    sys.exit(main())
