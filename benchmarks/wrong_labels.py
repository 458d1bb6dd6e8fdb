"""How many wrong labels `vit-runs check --sweep` finds, and how many of what it finds are wrong: planted ones.

    python benchmarks/wrong_labels.py --folds 3 -- experiment=quickstart train.epochs=8
    python benchmarks/wrong_labels.py dataset=cifar10 dataset.root=data dataset.fraction=0.2 -- experiment=fast

Images get the labels of other classes, drawn evenly (uniform), or of the class with which a nearest-neighbour
classifier confuses theirs most (confused). What stands before -- says which images, digits if nothing does; the
arguments after it are those of vit-train. One process trains all folds.
"""

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

import vit_train
from vit_train.config.compose import load_config
from vit_train.data.images import Dataset
from vit_train.data.sources import load_dataset
from vit_train.rundir import predictions
from vit_train.runs.wrong_labels import likely_wrong


def plant(dataset: Dataset, fraction: float, kind: str, seed: int) -> np.ndarray:
    """The training labels, int32 [N], of which a fraction of each class is wrong."""
    generator = np.random.default_rng(seed)
    labels, classes = dataset.train.labels, len(dataset.class_names)
    others = [np.delete(np.arange(classes), label) for label in range(classes)]
    if kind == "confused":
        pixels = dataset.train.read(np.arange(len(labels))).reshape(len(labels), -1)
        guesses = cross_val_predict(KNeighborsClassifier(5), pixels, labels)
        counts = np.zeros((classes, classes))
        np.add.at(counts, (labels, guesses), 1)
        np.fill_diagonal(counts, -1)
        others = [np.array([row.argmax()]) for row in counts]
    planted = labels.copy()
    for label in range(classes):
        rows = np.flatnonzero(labels == label)
        rows = generator.permutation(rows)[: round(fraction * len(rows))]
        planted[rows] = generator.choice(others[label], len(rows))
    return planted


def out_of_fold(file: Path, outputs: str, folds: int, arguments: list[str]) -> predictions.Predictions:
    """What each fold's model says of its images, for all of them in their order."""
    parts, rows = [], []
    for fold in range(folds):
        report = vit_train.train(
            [*arguments, "dataset=npz", f"dataset.root={file}", f"dataset.folds={folds}", f"dataset.fold={fold}",
             f"outputs={outputs}", "figures=false"]
        )  # fmt: skip
        path = Path(report.run_dir) / "out_of_fold.csv"
        parts.append(predictions.read(path))
        rows.append(predictions.read_rows(path))
    return predictions.take(predictions.join(parts), np.argsort(np.concatenate(rows)))


def main() -> None:
    """Prints a row for each way and number of wrong labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.05, 0.1])
    parser.add_argument("images", nargs="*", default=["dataset=digits"])
    own = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, arguments = parser.parse_args(sys.argv[1:own]), sys.argv[own + 1 :]
    dataset = load_dataset(load_config(options.images))
    print("| planted | wrong | found | recall | precision | precision of as many at random |")
    for kind in ("uniform", "confused"):
        for fraction in options.fractions:
            labels = plant(dataset, fraction, kind, seed=0)
            wrong = labels != dataset.train.labels
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "planted.npz"
                arrays = {"x_train": dataset.train, "x_test": dataset.test}
                images = {name: part.read(np.arange(len(part))) for name, part in arrays.items()}
                np.savez(file, **images, y_train=labels, y_test=dataset.test.labels)
                found = out_of_fold(file, folder, options.folds, arguments)
            rows = likely_wrong(dataclasses.replace(found, labels=labels), len(dataset.class_names))[0]
            hits = wrong[rows].sum()
            print(f"| {kind}, {fraction:.0%} | {wrong.sum()} | {len(rows)} | {hits / wrong.sum():.1%} | "
                  f"{hits / max(1, len(rows)):.1%} | {wrong.mean():.1%} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
