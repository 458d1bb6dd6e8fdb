import json

import pytest

from vit_train.evaluate import ClassScores, Scores
from vit_train.report.writer import Report, markdown, write
from vit_train.run_dir import RunDir


@pytest.fixture
def report():
    return Report(
        dataset="digits",
        model="vit",
        parameters=1234,
        split={"train": 90, "validation": 10, "test": 20},
        best_epoch=2,
        validation=Scores(0.5, 0.8, 0.9),
        test=Scores(0.61234, 0.75, 1.0),
        per_class=[ClassScores("apple", 0.5, 1.0, 12), ClassScores("pear", None, None, 0)],
        training={"epochs": 3, "steps": 6, "seconds": 61.2, "images_per_second": 99.6, "monitor": "val_accuracy"},
        status="completed",
        run_dir="outputs/x",
        exports={"ternary.npz": 3123051},
    )


def test_report_json_holds_the_contract(report, tmp_path):
    run = RunDir.create(str(tmp_path), "digits", "vit")
    write(report, run)
    values = json.loads(run.report_json.read_text())
    assert values["split"] == {"train": 90, "validation": 10, "test": 20}
    assert values["test"] == {"loss": 0.61234, "accuracy": 0.75, "top5_accuracy": 1.0}
    assert values["per_class"][1] == {"name": "pear", "accuracy": None, "top5_accuracy": None, "support": 0}
    assert {"dataset", "parameters", "best_epoch", "validation", "training", "status"} <= set(values)
    assert run.report_md.read_text() == markdown(report)


def test_report_md_says_the_same(report):
    text = markdown(report)
    assert text.startswith("# vit on digits: 75.00% test accuracy\n")
    for line in (
        "| validation | 10 | 0.5000 | 80.00% | 90.00% |",
        "| test | 20 | 0.6123 | 75.00% | 100.00% |",
        "- Steps: 6 in 0:01:01 (h:mm:ss)",
        "- Speed: 100 training images/s",
        "- Exported weights: ternary.npz, 3,123,051 bytes",
        "| apple | 50.0% | 100.0% | 12 |",
        "| pear | - | - | 0 |",
    ):
        assert line in text.splitlines()
