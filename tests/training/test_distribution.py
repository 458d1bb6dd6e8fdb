"""One model on two virtual CPU devices, in a process for each backend, as how many there are is settled once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from two_devices import CUT

from vit_train.machine.backend import device_name
from vit_train.run import train

TESTS = Path(__file__).parents[1]
PARTS = ("variable", "iterations", "momentum", "velocity", "nonfinite_steps")


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def found(request, tmp_path_factory):
    pytest.importorskip(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    command = [sys.executable, str(TESTS / "two_devices.py"), request.param, str(folder)]
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert result.returncode == 0, result.stderr
    return {"backend": request.param, **json.loads(result.stdout)}


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_two_devices_train_as_one(found):
    """With odd last batches, a non-finite step and clipping; on JAX with dropout. Losses are running means."""
    one, two = found["one"], found["two"]
    assert len(one["losses"]) == 22
    for part in ("losses", "history", "test"):
        close(two[part], one[part])


@pytest.mark.slow
def test_an_image_of_one_device_makes_both_leave_the_step_out(found):
    assert [found[name]["skipped"] for name in ("one", "two", "on_one", "on_two")] == [1, 1, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["on_one", "on_two"])
def test_a_killed_run_goes_on_with_another_number_of_devices(found, name):
    resumed = found[name]
    assert resumed["devices"] == {"on_one": 1, "on_two": 2}[name]
    assert len(resumed["losses"]) == len(found["one"]["losses"]) - CUT // 5 * 5
    close(resumed["losses"], found["one"]["losses"][CUT // 5 * 5 :])
    close(resumed["history"], found["one"]["history"])
    close(resumed["test"], found["one"]["test"])


@pytest.mark.slow
def test_augmentation_on_the_devices(found):
    """The same images but for the interpolation's rounding."""
    np.testing.assert_allclose(found["on_device"]["losses"], found["one"]["losses"][:2], atol=1e-3)


@pytest.mark.slow
def test_the_run_says_what_trains_it(found):
    assert (found["one"]["devices"], found["two"]["devices"]) == (1, 2)
    assert f"{found['backend']} float32 on 2 x cpu (cpu:0, cpu:1)\n" in found["two"]["log"]
    assert f"{found['backend']} float32 on cpu\n" in found["one"]["log"]


@pytest.mark.slow
def test_a_batch_that_cannot_be_sharded_creates_nothing(found):
    assert found["created"] == []
    assert found["refused"] == (
        "train.batch_size=33: cannot be split evenly to the 2 devices of compute.devices=all; use 32 or 34"
    )


@pytest.mark.slow
def test_the_replicas_of_tensorflow_stay_alike(found):
    """The second of them has an undefined gradient in the non-finite step; then both have the weights of before."""
    if found["backend"] != "tensorflow":
        pytest.skip("JAX has one step for all devices")
    assert all(first == second for first, second in found["replicas"])
    before, after, on = (dict(zip(PARTS, first, strict=True)) for first, _ in found["replicas"])
    for part in ("variable", "momentum", "velocity"):
        assert before[part] == after[part] != on[part]
        assert np.isfinite(on[part]).all()
    assert [state["iterations"] for state in (before, after, on)] == [1, 2, 3]
    assert [state["nonfinite_steps"] for state in (before, after, on)] == [0, 1, 1]


@pytest.mark.slow
def test_each_replica_of_tensorflow_drops_something_else(found):
    if found["backend"] != "tensorflow":
        pytest.skip("JAX has one step for all devices")
    first, second = found["dropped"]
    assert set(first) == set(second) == {0, 2}
    assert first != second


@pytest.mark.slow
def test_resnet_is_refused_where_each_device_would_normalise_alone(found):
    if found["backend"] != "tensorflow":
        pytest.skip("JAX normalises over all devices")
    assert found["refused_model"] == (
        "compute.devices=all: on TensorFlow each of 2 devices would normalise its own part of a batch of "
        "model=resnet50v2; use compute.backend=jax, or compute.devices=auto"
    )


def test_all_works_where_there_is_one_device(tiny, eagerly):
    report = train(tiny("compute.devices=all", "train.epochs=1", "train.steps_per_epoch=1"))
    environment = json.loads((Path(report.run_dir) / "environment.json").read_text())
    assert environment["device"].startswith(f"{environment['devices']} x ")
    if device_name() == "cpu":
        assert environment["device"] == "1 x cpu (cpu:0)"
