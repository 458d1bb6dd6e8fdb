"""Whether two checkouts train to the same bits: `python benchmarks/same_results.py OTHER [--data FOLDER] [NAME ...]`.

For a change that should change no result. Each case of CASES is trained with this checkout and with OTHER, a folder or
a commit of this repository, in processes of their own, and compared in the loss after each of the first steps, in the
columns of history.csv that both have (but not times), and in predictions.csv. Exits with 1 if anything differs.
FOLDER holds the official CIFAR files; without it, only the cases on the digits are run.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = 20  # whose losses are compared one by one
TIMES = ("seconds", "images_per_second")  # columns of history.csv that differ from run to run

# Batches are small enough for STEPS steps in the two epochs.
CASES = {
    "quickstart": "tensorflow experiment=quickstart",
    "quickstart_jax": "jax experiment=quickstart compute.backend=jax",
    "keras_io_2021": "tensorflow experiment=keras_io_2021 dataset.fraction=0.02 train.batch_size=64",
    "keras_mml": "tensorflow experiment=keras_mml",
    "resnet50v2": "tensorflow experiment=resnet50v2 dataset.fraction=0.02 train.batch_size=64",
}

# Runs the `vit-train` on PYTHONPATH and notes the running mean of the loss, as Keras shows it after each step.
DRIVER = """
import sys, keras
from vit_train.cli import main

losses, fit = open(sys.argv[1], "w"), keras.Model.fit

class Note(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        print(repr(float(logs["loss"])), file=losses, flush=True)

def noting(self, *arguments, callbacks=(), **options):
    return fit(self, *arguments, callbacks=[*callbacks, Note()], **options)

keras.Model.fit = noting
sys.argv[1:] = sys.argv[2:]
sys.exit(main())
"""


def train(checkout: Path, case: str, data: Path | None, folder: Path) -> dict[str, list[str]]:
    """Trains a case with a checkout in `folder`; what it found, as lines of text by name."""
    backend, *arguments = CASES[case].split()
    if data is not None and "experiment=quickstart" not in arguments:
        arguments.append(f"dataset.root={data}")
    folder.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(checkout), "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    options = ["train.epochs=2", "figures=false", "compute.devices=cpu", f"outputs={folder}"]
    command = [sys.executable, "-c", DRIVER, str(folder / "losses.txt"), *arguments, *options]
    result = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{case} in {checkout} ended with exit code {result.returncode}:\n{result.stderr[-2000:]}")
    run = Path(result.stdout.splitlines()[-1])
    with (run / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    columns = {f"history.csv {name}": [row[name] for row in history] for name in history[0] if name not in TIMES}
    losses = (folder / "losses.txt").read_text().splitlines()[:STEPS]
    return {"losses": losses, **columns, "predictions.csv": (run / "predictions.csv").read_text().splitlines()}


def differences(ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> Iterator[str]:
    """A sentence for each thing that both have and that differs."""
    for name in (name for name in ours if name in theirs):
        if ours[name] != theirs[name]:
            pairs = zip(ours[name], theirs[name], strict=False)
            where = next((number for number, (a, b) in enumerate(pairs) if a != b), None)
            yield f"{name}: differs" + ("" if where is None else f" from line {where + 1} on")


@contextmanager
def checked_out(other: str) -> Iterator[Path]:
    """`other` as a folder: itself, or a work tree of that commit for as long as this lasts."""
    if Path(other).is_dir():
        yield Path(other).resolve()
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "checkout"
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", folder, other], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", folder], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other")
    parser.add_argument("--data", type=Path)
    parser.add_argument("cases", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)} (default: all)")
    options = parser.parse_intermixed_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"there is no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    data = options.data.resolve() if options.data else None
    wanted = options.cases or [name for name in CASES if data or "quickstart" in CASES[name]]
    different = 0
    with checked_out(options.other) as other, tempfile.TemporaryDirectory() as scratch:
        for case in wanted:
            ours, theirs = (
                train(checkout, case, data, Path(scratch) / case / side)
                for side, checkout in (("ours", ROOT), ("theirs", other))
            )
            found = list(differences(ours, theirs))
            different += bool(found)
            lines = len(ours["losses"]), len(ours["predictions.csv"]) - 1
            print(case, "; ".join(found) or "equal to the bit, {} steps and {} predictions".format(*lines), flush=True)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
