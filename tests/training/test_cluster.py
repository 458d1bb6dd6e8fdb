"""One model in two processes on this machine, as `srun -n2 vit-train compute.devices=cluster` starts them elsewhere."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY

from vit_train.errors import ConfigError
from vit_train.machine import cluster

ROOT = str(Path(__file__).resolve().parents[2])
RUN = (
    *TINY,
    "compute.backend=jax",
    "dataset.fraction=0.26",
    "dataset.validation=0.2",
    "train.batch_size=28",  # 299 and 75 images: the last batch of training and that of validation are odd
    "train.steps_per_epoch=null",
    "train.ema_decay=0.9",
    "optimizer.clip_norm=0.5",
)
FLAGS = "--xla_backend_optimization_level=0"  # compiles in a third of the time
MIXED = ("augment.mixup=0.2", "augment.cutmix=1.0", "augment.placement=host")


def start(folder, number, port, *arguments):
    place = {"JOB_ADDRESSES": f"localhost:{port}", "NUM_PROCESSES": "2", "PROCESS_ID": str(number)}
    environment = {**os.environ, "PYTHONPATH": ROOT, "XLA_FLAGS": FLAGS}
    environment |= {f"KERAS_DISTRIBUTION_{key}": value for key, value in place.items()}
    with (folder / f"out{number}").open("w") as out, (folder / f"err{number}").open("w") as err:
        command = [sys.executable, "-m", "vit_train", *arguments]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)


def start_two(folder, *arguments, of_second=()):
    """With the config of a run that is named by resume=, or with RUN and `arguments`."""
    folder.mkdir(exist_ok=True)
    if not arguments or not arguments[0].startswith("resume=outputs"):
        arguments = (*RUN, "compute.devices=cluster", *arguments)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    return [start(folder, 0, port, *arguments), start(folder, 1, port, *arguments, *of_second)]


def ended(processes, seconds=300):
    """Their exit codes; none may need longer."""
    try:
        return [process.wait(seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()


def said(folder, number, stream="err"):
    return (folder / f"{stream}{number}").read_text().splitlines()


def alone(folder, *arguments, devices=2):
    folder.mkdir()
    flags = f"{FLAGS} --xla_force_host_platform_device_count={devices}"
    command = [sys.executable, "-m", "vit_train", *RUN, "compute.devices=all", *arguments]
    environment = {**os.environ, "PYTHONPATH": ROOT, "XLA_FLAGS": flags}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=300)
    return the_run(folder)


def the_run(folder):
    (run,) = folder.glob("outputs/*/*")
    return run


def history(run):
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [[float(row[name]) for name in row if name not in ("seconds", "images_per_second")] for row in rows]


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def last_losses(run):
    report = json.loads((run / "report.json").read_text())
    return [report[part]["loss"] for part in ("validation", "test")]


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), MIXED], ids=["plain", "mixed"])
def test_two_processes_train_as_one(tmp_path, more):
    """With dropout, averaged weights, clipping and odd batches; only the first writes, and speaks."""
    assert ended(start_two(tmp_path / "two", *more)) == [0, 0]
    two, one = the_run(tmp_path / "two"), alone(tmp_path / "one", *more)
    close(history(two), history(one))
    close(last_losses(two), last_losses(one))
    if not more:
        single = alone(tmp_path / "single", devices=1)
        close(history(two), history(single))
        close(last_losses(two), last_losses(single))
    assert said(tmp_path / "two", 0, "out")[-1] == str(two.relative_to(tmp_path / "two"))
    assert said(tmp_path / "two", 1, "out") == []
    assert said(tmp_path / "two", 1) == ["loading JAX"]
    environment = json.loads((two / "environment.json").read_text())
    assert environment["devices"] == 2


def until_saved(folder, processes):
    while not list(folder.glob("outputs/*/*/checkpoints/step-*")):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)


LONG = ("train.epochs=12", "train.checkpoint.every=7")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return alone(tmp_path_factory.mktemp("unbroken") / "one", *LONG)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_both_and_the_run_goes_on(tmp_path, unbroken, killed):
    both = start_two(tmp_path, *LONG)
    until_saved(tmp_path, both)
    both[killed].kill()
    codes = ended(both, 30)
    assert codes[killed] == -signal.SIGKILL
    assert codes[1 - killed] in (1, -signal.SIGABRT)  # by Python, or by JAX' service, whichever hears of it first
    run = the_run(tmp_path).relative_to(tmp_path)
    for number in (0, 1):
        line = said(tmp_path, number)[-1]
        assert line.startswith(
            f"vit-train: process {number} of 2: it, or another one, has ended or cannot be reached; "
        )
        assert f"; continue from its last checkpoint with resume={run}; " in line
        assert not [each for each in said(tmp_path, number) if "Aborted" in each or "Check failure" in each]
    if killed:
        assert ended(start_two(tmp_path, f"resume={run}")) == [0, 0]
        close(history(the_run(tmp_path)), history(unbroken))


@pytest.mark.slow
def test_signals_stop_both_with_the_state_saved(tmp_path, unbroken):
    both = start_two(tmp_path, *LONG)
    until_saved(tmp_path, both)
    for process in reversed(both):
        process.send_signal(signal.SIGTERM)
    assert ended(both, 30)[0] == 128 + signal.SIGTERM
    run = the_run(tmp_path).relative_to(tmp_path)
    assert said(tmp_path, 0)[-1] == "vit-train: stopped by SIGTERM"
    assert f"continue from its last checkpoint with resume={run}; " in said(tmp_path, 1)[-1]
    assert ended(start_two(tmp_path, "resume=auto", *LONG)) == [0, 0]
    close(history(the_run(tmp_path)), history(unbroken))


@pytest.mark.slow
def test_processes_that_were_started_unlike_create_nothing(tmp_path):
    codes = ended(start_two(tmp_path, of_second=("seed=1",)), 60)
    assert codes[0] != 0
    assert codes[1] == 2
    assert said(tmp_path, 1)[-1] == (
        "vit-train: compute.devices=cluster: process 1 has seed=1, and process 0 has seed=42; start all of them with "
        "the same arguments, on the same data"
    )
    assert not list(tmp_path.glob("outputs/*/*"))


@pytest.mark.slow
def test_it_must_be_known_which_processes_there_are(vit_train):
    result = vit_train(*RUN, "compute.devices=cluster")
    assert result.returncode == 2
    assert "; start them with srun, or give each KERAS_DISTRIBUTION_JOB_ADDRESSES=HOST:PORT" in result.stderr


def test_the_environment_must_give_numbers(monkeypatch):
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "two")
    with pytest.raises(ConfigError, match=r"KERAS_DISTRIBUTION_NUM_PROCESSES=two, .*: must be whole numbers"):
        cluster._told_by_environment()


def test_one_process_leads_and_agrees_with_itself():
    assert cluster.leads()
    assert cluster.tell_of(Path("run")) == Path("run")
    cluster.require_same(["seed=1"])
    cluster.wait()
