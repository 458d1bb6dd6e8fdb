"""Runs and predictions in Python."""

import csv
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vit_train
from vit_train.errors import ConfigError, DataError
from vit_train.rundir import predictions, records
from vit_train.runs.cli import run as vit_runs

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/runs/v1"
STOPPED = next((GOLDEN / "interrupted").glob("**/config.yaml")).parent

# What an installed user writes, for mypy.
USE = """
from dataclasses import dataclass
import numpy as np
import vit_train

@dataclass(frozen=True, kw_only=True)
class Keys(vit_train.ModelKeys):
    width: int = vit_train.key("width", default=8, minimum=1)

@vit_train.model("mine", Keys)
def features(keys: Keys, images: object) -> object:
    return [images] * keys.width

@vit_train.dataset("shapes", vit_train.DatasetKeys)
def shapes(keys: vit_train.DatasetKeys) -> vit_train.Dataset:
    part = vit_train.Examples(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2, dtype=np.int32))
    return vit_train.Dataset("shapes", part, part, ("a", "b"))

epochs: int = vit_train.load_config(["dataset=digits"], config=None).train.epochs
run: vit_train.Run = vit_train.load_run(vit_train.train(["dataset=digits"]).run_dir)
losses: list[float] = run.history["loss"].tolist()
names: tuple[str, ...] = vit_train.class_names(vit_train.load_model(run.path / "model.keras"))
found: vit_train.Predicted = vit_train.predict(run, ["cat.jpg", np.zeros((8, 8, 3), np.uint8)])
best: tuple[str, float] = found.top(1)[0][0]
"""


@pytest.fixture(scope="module")
def run(finished):
    return vit_train.load_run(str(finished.path))


@pytest.fixture
def pandas(monkeypatch):
    """A stand-in, since nothing here needs pandas."""
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=dict))


def test_a_run_has_what_its_files_say(run, finished):
    assert run.config == records.load_config(finished)
    report = json.loads(finished.report_json.read_text())
    assert run.report.test.accuracy == report["test"]["accuracy"]
    assert (run.state, run.class_names) == ("completed", tuple("0123456789"))
    with finished.history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {name: values.tolist() for name, values in run.history.items()} == {
        name: [float(row[name]) for row in rows] for name in rows[0]
    }
    assert run.history["epoch"].dtype == np.int64
    np.testing.assert_array_equal(run.predictions.losses, predictions.read(finished.predictions).losses)


def test_frames_have_the_columns_of_the_files(run, finished, pandas):
    assert run.history_frame()["val_loss"] is run.history["val_loss"]
    frame = run.predictions_frame()
    with finished.predictions.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(frame) == list(rows[0])
    for name, values in frame.items():
        assert [str(value) for value in values] == [row[name] for row in rows]


def test_without_pandas_a_frame_is_a_sentence(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r"^history_frame: needs pandas: pip install pandas"):
        run.history_frame()


def test_what_is_not_there_yet_is_none(pandas):
    run = vit_train.load_run(STOPPED)
    assert (run.state, run.predictions) == ("interrupted", None)
    assert run.predictions_frame() == {}
    assert f"{len(run.history['epoch'])} of {run.config.train.epochs} epochs" in run._repr_html_()
    with pytest.raises(ConfigError, match=r"^absent: is no run, and none of the 0 in nowhere"):
        vit_train.load_run("absent", outputs="nowhere")


def test_a_notebook_shows_scores_and_curves(run):
    page = run._repr_html_()
    assert f"<td>{run.report.test.accuracy:.2%}</td>" in page
    assert str(run.path) in page
    assert 'src="data:image/png;base64,iVBORw0' in page
    assert (
        repr(run)
        == f"<vit_train.Run {run.path}: vit on digits, completed, test accuracy {run.report.test.accuracy:.2%}>"
    )


def test_probabilities_are_those_of_the_command(run, tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 3), np.uint8)
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{index:02}.png")
    Image.new("L", (40, 30), 200).save(tmp_path / "wide.jpg")
    found = vit_train.predict(run, tmp_path)
    assert found.probabilities.shape == (71, 10)
    assert vit_runs(["predict", str(run.path), str(tmp_path), "--json", "--top", "3"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [entry["picture"] for entry in said] == list(found.pictures)
    assert [[(each["name"], each["probability"]) for each in entry["classes"]] for entry in said] == found.top(3)
    assert found.classes == tuple(classes[0][0] for classes in found.top())
    arrays = vit_train.predict(run.model, [images, np.full((30, 40, 3), 200, np.uint8)])
    np.testing.assert_allclose(arrays.probabilities, found.probabilities, atol=1e-6)
    one = vit_train.predict(str(run.path), str(tmp_path / "wide.jpg"))
    np.testing.assert_allclose(one.probabilities, found.probabilities[70:], atol=1e-6)
    assert len(vit_train.predict(run, [])) == 0


@pytest.mark.parametrize(
    ("pictures", "sentence"),
    [
        (
            np.zeros((2, 8, 8, 3)),
            r"^array 0: is float64 \[8, 8, 3\]; a picture is uint8 \[H, W, 3\], RGB from 0 to 255",
        ),
        ([np.zeros((8, 8, 2), np.uint8)], r"^array 0: is uint8 \[8, 8, 2\]; .* or grey without the 3$"),
        ([3], "^array 0: is int; a picture is a path"),
        ("absent.png", r"^absent.png: cannot be read"),
    ],
)
def test_what_is_no_picture_is_a_sentence(run, pictures, sentence):
    with pytest.raises(DataError, match=sentence):
        vit_train.predict(run, pictures)


def test_the_import_is_light():
    heavy = {"numpy", "tensorflow", "keras", "hydra", "yaml"}
    code = f"import sys, vit_train; dir(vit_train); print({heavy} & {{*sys.modules}})"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


@pytest.mark.slow
def test_types_hold_from_outside(tmp_path):
    """As mypy sees a package that is installed: only with py.typed does it look into it."""
    (tmp_path / "use.py").write_text(USE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "/dev/null", "--cache-dir", str(tmp_path)]
    result = subprocess.run([*command, "use.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.stdout, result.returncode) == ("Success: no issues found in 1 source file\n", 0)
