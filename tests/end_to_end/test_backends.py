"""The same run on each backend, and its model in a process that knows nothing of the run."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vit_train.runs.cli import run as vit_runs

TINY = (
    "experiment=quickstart",
    "debug=fast",
    "model.depth=1",
    "model.image_size=8",
    "model.dropout=0",
    "figures=false",
)


def run_of(result, tmp_path):
    assert result.returncode == 0, result.stderr
    return tmp_path / result.stdout.splitlines()[-1]


@pytest.mark.slow
def test_jax_trains_on_the_device_as_tensorflow_does(vit_train, tmp_path):
    """Weights are drawn by the backends' own generators, so only the data can be alike; both must learn.

    With augmentation on the host JAX is trained in test_kills.py.
    """
    pytest.importorskip("jax")
    report = {}
    for backend in ("tensorflow", "jax"):
        arguments = (f"compute.backend={backend}", "augment.placement=device", "compute.devices=cpu")
        run = run_of(vit_train(*TINY, *arguments, "train.epochs=3", "train.steps_per_epoch=2"), tmp_path)
        report[backend] = json.loads((run / "report.json").read_text())
        with (run / "history.csv").open(newline="") as file:
            losses = [float(row["loss"]) for row in csv.DictReader(file)]
        assert losses[-1] < losses[0] < 4
    # The last one is JAX's, and is exported by way of TensorFlow; ONNX would need another extra.
    assert vit_runs(["export", str(run), "--format", "saved_model"]) == 0
    assert report["jax"]["parameters"] == report["tensorflow"]["parameters"]
    assert report["jax"]["split"] == report["tensorflow"]["split"]


def test_a_backend_that_is_not_installed_is_one_sentence(vit_train, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'jax' else find(name, package)\n"
    )
    path = os.pathsep.join([str(hidden), str(Path.cwd())])
    result = vit_train("dataset=digits", "compute.backend=jax", PYTHONPATH=path)
    assert result.returncode == 2
    assert result.stderr == "vit-train: compute.backend=jax: JAX is not installed; pip install 'vit-train[jax]'\n"


@pytest.mark.slow
def test_a_fresh_process_loads_the_model_with_identical_logits(vit_train, tmp_path):
    run = run_of(vit_train(*TINY), tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    script = (
        "import sys, numpy as np, vit_train\n"
        "assert 'keras' not in sys.modules\n"
        f"model = vit_train.load_model(r'{run / 'model.keras'}')\n"
        "np.save('logits%s.npy' % sys.argv[1], model.predict(np.load('images.npy'), verbose=0))\n"
    )
    for number in "12":
        subprocess.run(
            [sys.executable, "-c", script, number], cwd=tmp_path, check=True, capture_output=True, timeout=120
        )
    first, second = (np.load(tmp_path / f"logits{number}.npy") for number in "12")
    assert first.shape == (5, 10)
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
@pytest.mark.skipif("VIT_TRAIN_DATA" not in os.environ, reason="VIT_TRAIN_DATA does not name the real CIFAR files")
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_a_step_on_real_cifar(vit_train, tmp_path, dataset):
    root = f"dataset.root={os.environ['VIT_TRAIN_DATA']}"
    size = ("model.depth=1", "model.image_size=32", "model.patch_size=8", "model.head_units=[]")
    report = json.loads(
        (run_of(vit_train(f"dataset={dataset}", root, "debug=fast", *size), tmp_path) / "report.json").read_text()
    )
    assert report["split"] == {"train": 4500, "validation": 500, "test": 1000}
    assert len(report["per_class"]) == (10 if dataset == "cifar10" else 100)
