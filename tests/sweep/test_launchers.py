"""Jobs started elsewhere: by submitit's local cluster, at the doorstep of Slurm, on Ray where it is installed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import submitit
from conftest import TINY

import vit_train
from vit_train.errors import ConfigError
from vit_train.sweep import launchers, results
from vit_train.sweep.devices import Share
from vit_train.sweep.launchers import slurm
from vit_train.sweep.launchers.local import LocalLauncher
from vit_train.sweep.launchers.slurm import SlurmLauncher, SlurmProcess
from vit_train.sweep.settings import read

NOTHING = Share("", {})
LOCAL = ("sweep.launcher=slurm", "sweep.launcher.cluster=local")


def chosen(*overrides):
    return read(overrides)[0].launcher


def wait(process):
    deadline = time.monotonic() + 60
    while (code := process.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return code


def jobs(folder):
    """The state of each job of the sweep in a folder, once there is one."""
    return [job["state"] for file in folder.glob("**/sweep.json") for job in json.loads(file.read_text())["jobs"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [LOCAL, ("sweep.launcher=ray", "sweep.launcher.address=local")], ids=["submitit", "ray"]
)
def test_a_sweep_runs_and_stops_there(tmp_path, launcher):
    if launcher is not LOCAL:
        pytest.importorskip("ray")
    arguments = (*TINY, "train.epochs=2,100000", "sweep.jobs=2", *launcher)
    command = [sys.executable, "-m", "vit_train", "-m", *arguments]
    sweep = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    deadline = time.monotonic() + 120
    while (found := jobs(tmp_path))[:1] != ["completed"] or not list(tmp_path.glob("**/*100000/*/*/history.csv")):
        assert sweep.poll() is None
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(60) == 130
    (file,) = tmp_path.glob("**/sweep.json")
    done, stopped = json.loads(file.read_text())["jobs"]
    assert (done["state"], done["exit_code"]) == ("completed", 0)
    assert (stopped["state"], stopped["exit_code"]) == ("interrupted", 143)
    command, *_, last = (file.parent / stopped["folder"] / "log.txt").read_text().splitlines()
    assert command.startswith("$ vit-train dataset=digits")
    assert last == "vit-train: stopped by SIGTERM"


@pytest.mark.parametrize("launcher", [LocalLauncher(), SlurmLauncher(chosen(*LOCAL))], ids=["local", "submitit"])
def test_how_a_job_failed_is_in_its_log(tmp_path, monkeypatch, launcher):
    """Whatever modules are in the working directory."""
    for name in ("random.py", "keras.py", "statistics.py"):
        (tmp_path / name).write_text("raise SystemExit(f'{__file__} was loaded')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setenv("PYTHONPATH", str(Path(vit_train.__file__).parents[1]))
    log = tmp_path / "1" / "log.txt"
    process = launcher.start(["seed=-1"], log, NOTHING)
    assert wait(process) == 2
    process.close()
    assert results.failure(2, log).startswith("seed=-1: must be at least 0")


@pytest.mark.slow
def test_so_is_an_error_of_the_node_itself(tmp_path):
    log = tmp_path / "log.txt"
    process = SlurmProcess(submitit.LocalExecutor(tmp_path).submit(int, "x"), log)
    assert wait(process) == 1
    assert "ValueError: invalid literal for int() with base 10: 'x'; more is in" in results.failure(1, log)


@pytest.mark.slow
def test_and_an_end_without_a_word(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "_SECONDS_FOR_FILES", 0)
    log = tmp_path / "log.txt"
    assert wait(SlurmProcess(submitit.LocalExecutor(tmp_path).submit(os._exit, 9), log)) == 1
    assert "it ended without a word as FINISHED; more is in" in results.failure(1, log)


@pytest.fixture
def slurm_tools(tmp_path, monkeypatch):
    """Puts a command of Slurm on the path, as a script."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def make(name, script):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return make


def test_slurm_is_told_what_a_run_needs_and_keeps_it_for_the_next_sweep(tmp_path, slurm_tools):
    slurm_tools("srun", "exit 1")
    slurm_tools("sbatch", f"echo asked >> {tmp_path}/asked; cat $1 > {tmp_path}/batch; echo Submitted batch job 7")
    slurm_tools("sacct", "echo 'JobID|State|NodeList'; echo '7|PENDING|'")
    keys = ("partition=gpu", "gpus=2", "memory=16", "time=30", "options=[exclusive,'qos=long']")
    launcher = SlurmLauncher(chosen("sweep.launcher=slurm", *(f"sweep.launcher.{key}" for key in keys)))
    log = tmp_path / "1" / "log.txt"
    assert not launcher.holds(log)
    assert launcher.start(["seed=1"], log, NOTHING).poll() is None
    lines = (tmp_path / "batch").read_text().splitlines()
    for option in (
        "partition=gpu", "gpus-per-node=2", "mem=16GB", "time=30", "cpus-per-task=4", "exclusive", "qos=long",
        "no-requeue", "signal=USR2@90",
    ):  # fmt: skip
        assert f"#SBATCH --{option}" in lines
    assert launcher.holds(log)
    assert launcher.start(["seed=1"], log, NOTHING).job.job_id == "7"
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_what_sbatch_refuses_is_one_sentence(tmp_path, slurm_tools):
    slurm_tools("srun", "exit 1")
    slurm_tools("sbatch", "echo 'sbatch: error: invalid partition specified: x' >&2; exit 1")
    with pytest.raises(ConfigError, match="slurm: sbatch refuses a run: sbatch: error: invalid partition specified: x"):
        SlurmLauncher(chosen("sweep.launcher=slurm")).start(["seed=1"], tmp_path / "1" / "log.txt", NOTHING)


def test_without_slurm_or_a_package_there_is_no_launcher(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="this machine has no sbatch; start the sweep on a login node"):
        SlurmLauncher(chosen("sweep.launcher=slurm"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(ConfigError, match=r"sweep.launcher=ray: needs ray; pip install 'vit-train\[ray\]'"),
        launchers.opened(chosen("sweep.launcher=ray")),
    ):
        pass
