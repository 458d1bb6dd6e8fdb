"""predictions.csv: what it holds, and that every figure of the report follows from it, by scikit-learn and numpy."""

import csv
import dataclasses

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from vit_train.data.superclasses import CIFAR100, superclasses_of
from vit_train.report import scores
from vit_train.rundir import predictions
from vit_train.training.evaluate import from_logits


def sample(classes, images=400):
    generator = np.random.default_rng(classes)
    labels = generator.integers(0, classes, images)
    logits = 2 * generator.normal(size=(images, classes))
    logits[np.arange(images), labels] += 2
    return from_logits(logits.astype(np.float32), labels)


def names(classes):
    return tuple(f"class {index}" for index in range(classes))


@pytest.mark.parametrize("files", [False, True])
@pytest.mark.parametrize("classes", [2, 10])
def test_what_is_read_is_what_was_written(tmp_path, classes, files):
    found = sample(classes)
    paths = [f"test/é\udcff,{index}.png" for index in range(len(found))] if files else None
    predictions.write(found, names(classes), tmp_path / "predictions.csv", paths)
    again = predictions.read(tmp_path / "predictions.csv")
    assert again.energies is None
    for field in dataclasses.fields(found)[:-1]:
        np.testing.assert_array_equal(getattr(again, field.name), getattr(found, field.name), strict=True)


def test_the_columns_are_those_of_the_contract(tmp_path):
    predictions.write(sample(3), ("a", "b", "c,d"), tmp_path / "p.csv", [f"{index}.png" for index in range(400)])
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert " ".join(rows[0]) == (
        "index file label label_name top1 top1_name top1_probability top2 top2_name top2_probability top3 top3_name "
        "top3_probability true_probability loss brier"
    )
    assert {row["label_name"] for row in rows} == {"a", "b", "c,d"}
    assert [int(row["index"]) for row in rows] == list(range(400))


def test_another_file_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("index,label\n0,1\n")
    with pytest.raises(ValueError, match=r"it is not the predictions.csv of a run"):
        predictions.read(tmp_path / "p.csv")


@pytest.mark.parametrize("classes", [3, 10, 100])
def test_the_file_is_enough_for_every_figure_of_the_report(tmp_path, classes):
    """The columns, as a stranger would read them, against what the report says."""
    dataset = "cifar100" if classes == 100 else "other"
    class_names = tuple(sorted(" ".join(CIFAR100.values()).split())) if classes == 100 else names(classes)
    found, superclasses = sample(classes), superclasses_of(dataset, class_names)
    predictions.write(found, class_names, tmp_path / "p.csv")
    report, rows = scores.evaluate(found, superclasses), scores.evaluate_classes(found, class_names)

    with (tmp_path / "p.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    label, top1 = (np.array([int(row[name]) for row in table]) for name in ("label", "top1"))
    places = [f"top{place}" for place in range(1, min(5, classes) + 1)]
    in_top = np.array([row["label"] in [row[place] for place in places] for row in table])
    right = label == top1
    assert report.accuracy == accuracy_score(label, top1)
    assert report.top5_accuracy == in_top.mean()
    assert report.loss == pytest.approx(np.mean([float(row["loss"]) for row in table]))
    assert report.loss == pytest.approx(-np.log([float(row["true_probability"]) for row in table]).mean(), rel=1e-5)
    assert report.brier == pytest.approx(np.mean([float(row["brier"]) for row in table]))

    options = {"labels": np.unique(label), "average": "macro", "zero_division": 0}
    macro = precision_recall_fscore_support(label, top1, **options)
    assert (report.macro_precision, report.macro_recall, report.macro_f1) == pytest.approx(macro[:3])
    each = precision_recall_fscore_support(label, top1, labels=range(classes), zero_division=np.nan)
    for name in ("precision", "recall", "f1", "support"):
        ours = [np.nan if getattr(row, name) is None else getattr(row, name) for row in rows]
        np.testing.assert_allclose(ours, each[("precision", "recall", "f1", "support").index(name)])
    np.testing.assert_array_equal(scores.confusion(found, classes), confusion_matrix(label, top1))

    confidence = np.array([float(row["top1_probability"]) for row in table])
    error = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert report.calibration_error == pytest.approx(error)
    if superclasses is not None:
        of = {fine: coarse for coarse, members in CIFAR100.items() for fine in members.split()}
        same = [of[row["label_name"]] == of[row["top1_name"]] for row in table]
        assert report.superclass_accuracy == pytest.approx(np.mean(same))
        assert report.superclass_accuracy > report.accuracy
