"""A rule for what is of no class: from the key to predictions, report, pages and exports."""

import csv
import json
import shutil
import zipfile
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image
from report.test_writer import SCHEMA

from vit_train.report import writer
from vit_train.run import train
from vit_train.rundir import records
from vit_train.rundir.layout import RunDir
from vit_train.rundir.unknown import rule_of
from vit_train.runs.cli import run as vit_runs
from vit_train.runs.loading import load

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def ruled(finished, tmp_path_factory):
    """A finished run that was given a rule; not to be changed."""
    run = RunDir(tmp_path_factory.mktemp("ruled") / "run")
    shutil.copytree(finished.path, run.path)
    assert vit_runs(["unknown", str(run.path), "--score", "energy", "--false-alarms", "0.25"]) == 0
    return run


def test_model_report_and_predictions_have_the_same_rule(ruled):
    values = json.loads(ruled.report_json.read_text())
    jsonschema.validate(values, SCHEMA, cls=jsonschema.Draft202012Validator)
    rule, report = rule_of(load(ruled)[0]), writer.read(ruled)
    assert (rule.score, rule.false_alarms) == ("energy", 0.25)
    assert (report.unknown.score, report.unknown.threshold) == (rule.score, rule.threshold)
    rows = list(csv.DictReader(ruled.predictions.read_text().splitlines()))
    refused = np.array([int(row["unknown"]) for row in rows])
    assert refused.tolist() == [int(np.float32(row["score"]) < np.float32(rule.threshold)) for row in rows]
    assert report.unknown.refused == refused.mean()
    assert 0.05 < refused.mean() < 0.6  # about what was wanted
    assert sum(row.refused * row.support for row in report.per_class) == pytest.approx(refused.sum())
    assert "called unknown" in ruled.report_html.read_text()
    assert f"Called unknown: {refused.mean():.1%} of the test images" in ruled.report_md.read_text()
    assert len(records.read_predictions(ruled)) == len(rows)


def test_without_the_key_nothing_is_said_of_it(finished):
    assert rule_of(load(finished)[0]) is None
    assert writer.read(finished).unknown is None
    assert "unknown" not in finished.predictions.read_text().splitlines()[0]
    assert "unknown" not in finished.report_md.read_text()


def test_predict_says_which_pictures_are_unknown(ruled, tmp_path, capsys):
    for index, image in enumerate(np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)):
        Image.fromarray(image).save(tmp_path / f"{index:02}.png")
    assert vit_runs(["predict", str(ruled.path), str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rule = rule_of(load(ruled)[0])
    assert [each["unknown"] for each in found] == [each["score"] < rule.threshold for each in found]
    assert {each["unknown"] for each in found} == {True, False}
    assert vit_runs(["predict", str(ruled.path), str(tmp_path), "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(int(row["unknown"]), float(row["score"])) for row in rows] == [
        (each["unknown"], each["score"]) for each in found
    ]
    assert vit_runs(["predict", str(ruled.path), str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("(unknown)") == sum(each["unknown"] for each in found)


@pytest.mark.slow
def test_a_finished_run_gets_a_rule_and_loses_it_again(tiny, tmp_path, capsys):
    run = RunDir(Path(train(tiny("train.epochs=1")).run_dir))
    before = (json.loads(run.report_json.read_text()), run.predictions.read_text(), run.history.read_text())
    assert vit_runs(["unknown", str(run.path)]) == 0
    assert capsys.readouterr().out == f"{run.path}: calls nothing unknown; --score energy sets a rule\n"
    setting = ["--score", "confidence", "--false-alarms", "0.5"]
    assert vit_runs(["unknown", str(run.path), *setting, "--against", "noise", "digits"]) == 0
    output = capsys.readouterr().out.splitlines()
    rule, report = rule_of(load(run)[0]), writer.read(run)
    assert (rule.score, rule.false_alarms, report.unknown.threshold) == ("confidence", 0.5, rule.threshold)
    assert f"{run.path}: calls unknown what has confidence below {rule.threshold:.4g}, picked" in output[0]
    assert records.load_config(run).evaluate.unknown == "confidence"
    assert report.test.accuracy == before[0]["test"]["accuracy"]
    cells = [line.replace("│", " ").split() for line in output if " 10,000 " in line]
    assert [row[:3] for row in cells] == [
        [kind, "noise", score] for kind in ("uniform", "Gaussian") for score in ("confidence", "energy")
    ]
    assert vit_runs(["unknown", str(run.path), "--score", "none"]) == 0
    after = (json.loads(run.report_json.read_text()), run.predictions.read_text(), run.history.read_text())
    assert after == before


@pytest.mark.parametrize("rate", ["0", "1", "many", "nan"])
def test_a_rate_that_is_none_is_a_sentence(ruled, rate, capsys):
    assert vit_runs(["unknown", str(ruled.path), "--score", "energy", "--false-alarms", rate]) == 2
    assert capsys.readouterr().err == (
        f"vit-runs: --false-alarms {rate}: must be a number above 0 and below 1, such as 0.05\n"
    )


def test_images_that_cannot_be_had_are_a_sentence(ruled, tmp_path, capsys):
    assert vit_runs(["unknown", str(ruled.path), "--against", str(tmp_path)]) == 3
    assert f"vit-runs: {tmp_path}: has no picture in it" in capsys.readouterr().err


def exported(run, form, folder):
    assert vit_runs(["export", str(run.path), "--format", form, "--output", str(folder / "model.x")]) == 0
    return folder / "model.x"


def expected(run, images):
    logits = np.asarray(load(run)[0].predict_on_batch(images)).astype(float)
    return np.log(np.exp(logits).sum(1))


@pytest.fixture
def images():
    return np.random.default_rng(3).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


@pytest.mark.slow
def test_an_onnx_export_has_rule_and_score(ruled, images, tmp_path):
    import onnxruntime

    session = onnxruntime.InferenceSession(exported(ruled, "onnx", tmp_path))
    unknown = json.loads(session.get_modelmeta().custom_metadata_map["unknown"])
    assert unknown == {"score": "energy", "threshold": rule_of(load(ruled)[0]).threshold, "false_alarms": 0.25}
    (score,) = session.run(["score"], {"images": images})
    np.testing.assert_allclose(score, expected(ruled, images), atol=1e-4)


@pytest.mark.slow
def test_a_saved_model_has_rule_and_score(ruled, images, tmp_path):
    import tensorflow as tf

    loaded = tf.saved_model.load(exported(ruled, "saved_model", tmp_path))
    unknown = {name: value.numpy() for name, value in loaded.signatures["unknown"]().items()}
    assert (unknown["score"], unknown["threshold"]) == (b"energy", np.float32(rule_of(load(ruled)[0]).threshold))
    score = loaded.signatures["serving_default"](images=tf.constant(images))["score"]
    np.testing.assert_allclose(score, expected(ruled, images), atol=1e-4)


@pytest.mark.slow
def test_a_litert_export_has_rule_and_score(ruled, images, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path = exported(ruled, "litert", tmp_path)
    assert json.loads(zipfile.ZipFile(path).read("unknown.json"))["score"] == "energy"
    score = Interpreter(str(path)).get_signature_runner("serving_default")(images=images)["score"]
    np.testing.assert_allclose(score, expected(ruled, images), atol=1e-4)


@pytest.mark.slow
def test_a_keras_export_has_rule_and_score(ruled, images, tmp_path):
    from vit_train import load_model

    assert vit_runs(["export", str(ruled.path), "--format", "keras", "--output", str(tmp_path / "m.keras")]) == 0
    model = load_model(tmp_path / "m.keras")
    assert rule_of(model) == rule_of(load(ruled)[0])
    np.testing.assert_allclose(model.predict_on_batch(images)["score"], expected(ruled, images), atol=1e-4)
