"""report.json: the contract, its schema, and the way back."""

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest
from made_up import SPLIT, run_of
from report_schema import with_metrics

from vit_train.data.superclasses import CIFAR100
from vit_train.errors import CheckpointError
from vit_train.report.scores import Evaluation, Scores
from vit_train.report.writer import SCHEMA_VERSION, of_training, read, reopen, result_table, write
from vit_train.rundir import history
from vit_train.rundir.layout import RunDir

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())
NAMES = tuple(sorted(" ".join(CIFAR100.values()).split()))


def valid(values):
    jsonschema.validate(values, SCHEMA, cls=jsonschema.Draft202012Validator)
    return values


@pytest.mark.parametrize("dataset", ["cifar100", "digits"])
def test_report_json_follows_the_schema_and_comes_back(tmp_path, dataset):
    names = NAMES if dataset == "cifar100" else tuple("0123456789")
    run, _, report = run_of(tmp_path, names, 3, f"dataset={dataset}")
    write(dataclasses.replace(report, status="completed"), run)
    values = valid(json.loads(run.report_json.read_text()))
    assert values["split"] == SPLIT
    figures = {"loss": 0.75, "accuracy": 0.75, "top5_accuracy": 0.75, "balanced_accuracy": 0.75}
    assert values["validation"] == figures | {"own": {}}
    assert (values["best_epoch"], values["training"]["epochs"], values["training"]["steps"]) == (2, 3, 3)
    assert {row["name"] for row in values["per_class"]} == set(names)
    assert (values["test"]["superclass_accuracy"] is None) == (dataset == "digits")
    again = read(run)
    assert json.loads(json.dumps(dataclasses.asdict(again))) == {
        k: v for k, v in values.items() if k != "schema_version"
    }
    assert again.class_names == names
    assert run.finished


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_run_that_ended_early_follows_it_too(tmp_path, epochs):
    run, _, report = run_of(tmp_path, NAMES, epochs)
    early = dataclasses.replace(report, status="interrupted", error="stopped by SIGTERM", test=None, per_class=[])
    write(early, run)
    values = valid(json.loads(run.report_json.read_text()))
    assert (values["best_epoch"] is None) == (epochs == 0)
    assert len(result_table(early)[1]) == (epochs > 0)
    assert not run.finished
    assert read(run) == early


def test_the_schema_refuses_what_it_does_not_know(tmp_path):
    report = run_of(tmp_path, NAMES)[2]
    values = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(report)}
    valid(json.loads(json.dumps(values)))
    for change in ({"status": "done"}, {"schema_version": 2}, {"extra": 1}, {"test": {"accuracy": 1.1}}):
        with pytest.raises(jsonschema.ValidationError):
            valid(json.loads(json.dumps(values | change)))


def test_what_is_no_report_is_one_sentence(tmp_path):
    run = RunDir(tmp_path)
    with pytest.raises(CheckpointError, match=rf"^{run.report_json}: is not there; finish the run with resume="):
        read(run)
    run.report_json.write_text('{"schema_version": 1}')
    with pytest.raises(CheckpointError, match=rf"^{run.report_json}: cannot be read .*; make it again with: vit-runs "):
        read(run)


@pytest.mark.parametrize(("part", "kind"), [("validation", Scores), ("test", Evaluation)])
def test_schema_and_report_have_the_metrics_of_the_table(part, kind):
    assert with_metrics(SCHEMA) == SCHEMA, "python tests/report_schema.py writes docs/report.schema.json again"
    assert {field.name for field in dataclasses.fields(kind)} == set(SCHEMA["properties"][part]["properties"])


def test_older_rows_without_balanced_accuracy_make_a_report(tmp_path):
    run, config, _ = run_of(tmp_path, NAMES)
    rows = history.read(run.history)
    for row in rows:
        del row["val_balanced_accuracy"]
    history.write(rows, run.history)
    assert history.read(run.history) == rows
    report = of_training(config, run, SPLIT, 1, rows)
    assert report.validation.balanced_accuracy is None
    write(report, run)
    valid(json.loads(run.report_json.read_text()))
    assert read(run) == report


def test_balanced_accuracy_leads_where_one_class_has_more_than_three_times_another(tmp_path):
    report = run_of(tmp_path, NAMES[:2])[2]
    few, many = report.per_class
    for supports, uneven in (((10, 30), False), ((10, 31), True), ((0, 31), False)):
        rows = [dataclasses.replace(row, support=count) for row, count in zip((few, many), supports, strict=True)]
        changed = dataclasses.replace(report, per_class=rows)
        expected = ("balanced test accuracy", report.test.balanced_accuracy)
        assert changed.headline == (expected if uneven else ("test accuracy", report.test.accuracy))
    assert dataclasses.replace(report, test=None).headline is None


def test_a_newer_report_is_read_without_what_only_it_knows(tmp_path, capsys):
    run, _, report = run_of(tmp_path, NAMES)
    write(report, run)
    values = json.loads(run.report_json.read_text())
    values |= {"schema_version": 9, "later": 1, "test": values["test"] | {"later": 2}}
    values["per_class"][0]["later"] = 3
    run.report_json.write_text(json.dumps(values))
    assert read(run).test.accuracy == report.test.accuracy
    assert capsys.readouterr().err == f"note: {run.report_json}: is of schema_version 9, this vit-train of 1\n"


def test_what_an_older_report_did_not_measure_is_none(tmp_path):
    run, _, report = run_of(tmp_path, NAMES)
    write(report, run)
    values = json.loads(run.report_json.read_text())
    del values["exports"], values["test"]["superclass_accuracy"], values["per_class"][0]["f1"]
    run.report_json.write_text(json.dumps(values))
    older = read(run)
    assert (older.exports, older.test.superclass_accuracy, older.per_class[0].f1) == ({}, None, None)
    assert older.test.accuracy == report.test.accuracy


def test_a_finished_run_that_goes_on_keeps_what_it_has_told(tmp_path):
    run, _, report = run_of(tmp_path, NAMES)
    write(dataclasses.replace(report, status="completed"), run)
    run.report_html.touch()
    assert run.finished
    reopen(run)
    assert not run.finished
    assert (read(run).status, read(run).per_class) == ("reporting", report.per_class)
    assert run.report_html.exists()
    assert run.predictions.exists()


@pytest.mark.parametrize("text", [None, "", "[]", '{"schema_version": 1}'])
def test_a_stopped_run_that_goes_on_forgets_that_it_was_stopped(tmp_path, text):
    run, _, report = run_of(tmp_path, NAMES)
    write(dataclasses.replace(report, status="interrupted", test=None), run)
    if text is not None:
        run.report_json.write_text(text)
    run.report_md.touch()
    reopen(run)
    assert not run.report_json.exists()
    assert not run.report_md.exists()
    reopen(run)
