"""Real jobs in real processes, some of them made to fail, stop or die."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TINY

from vit_train.config.compose import load_config
from vit_train.rundir.layout import RunDir
from vit_train.sweep import plan, results
from vit_train.sweep.devices import Share
from vit_train.sweep.launchers.local import LocalLauncher
from vit_train.sweep.pool import Pool

ROOT = Path(__file__).resolve().parents[2]
CLOCK = ("seconds", "images_per_second")


def start(*arguments, cwd, **environment):
    path = os.pathsep.join([str(ROOT / "tests" / "sweep" / "faults"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "vit_train", "-m", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Waits for the end; returns exit code, lines of stdout and stderr."""
    stdout, stderr = process.communicate(timeout=300)
    return process.returncode, stdout.splitlines(), stderr


def wait_for(cwd, pattern, count=1):
    deadline = time.monotonic() + 120
    while len(found := list(cwd.glob(pattern))) < count:
        assert time.monotonic() < deadline, f"no {pattern}"
        time.sleep(0.02)
    return found


def without_clock(report):
    training = {key: value for key, value in report["training"].items() if key not in CLOCK}
    return {**report, "training": training, "run_dir": None}


@pytest.fixture
def alone(tensorflow, tmp_path):
    """Gives the report of a run that is no part of a sweep."""
    from vit_train.run import train

    def run(*overrides):
        report = train(load_config([*TINY, f"outputs={tmp_path / 'alone'}", *overrides]))
        return without_clock(json.loads((Path(report.run_dir) / "report.json").read_text()))

    return run


@pytest.mark.slow
def test_each_failure_is_one_job_s_own(tmp_path, alone):
    rates = "1e-3,2e-3,3e-3,4e-3,-1,1e30"
    faults = [f"optimizer.learning_rate={rate}" for rate in ("0.002:leave", "0.003:kill", "0.004:leak")]
    process = start(*TINY, f"optimizer.learning_rate={rates}", "sweep.jobs=2", cwd=tmp_path, FAULTS=" ".join(faults))
    code, stdout, stderr = finish(process)
    assert code == 1, stderr
    sweep = tmp_path / stdout[-1]
    jobs = json.loads((sweep / "sweep.json").read_text())["jobs"]
    assert [(job["state"], job["exit_code"]) for job in jobs] == [
        ("completed", 0), ("failed", 7), ("failed", -9), ("failed", 1), ("failed", 2), ("failed", 5)
    ]  # fmt: skip
    reasons = (
        "ended with exit code 7",
        "killed by SIGKILL",
        "memory on cpu ran out; lower train.batch_size=32",
        "optimizer.learning_rate=-1: must be above 0",
        "the loss or a gradient is not finite in epoch 1",
    )
    for job, reason in zip(jobs[1:], reasons, strict=True):
        assert job["reason"].startswith(reason)
        assert f"run {job['number']} (learning_rate={job['varied']['optimizer.learning_rate']}): {reason}" in stderr
    report = json.loads((tmp_path / jobs[0]["result"]["run"] / "report.json").read_text())
    assert without_clock(report) == alone("optimizer.learning_rate=1e-3")


def test_the_sweep_itself_loads_no_machine_learning_library(tmp_path):
    process = start(*TINY, "seed=1", cwd=tmp_path, FAULTS="seed=1:leave", PYTHONPROFILEIMPORTTIME="1")
    code, _, stderr = finish(process)
    assert code == 1
    assert "vit_train.sweep.page" in stderr
    assert not re.search(r"\| +(keras|tensorflow|jax|torch)$", stderr, re.MULTILINE)


@pytest.mark.slow
def test_a_sweep_that_is_killed_stops_its_jobs_and_goes_on_to_the_same_end(tmp_path, alone):
    arguments = (*TINY, "train.epochs=8", "seed=-1,1")  # a second sound job would cost seconds and show no more
    process = start(*arguments, cwd=tmp_path)
    wait_for(tmp_path, "outputs/*/*/jobs/*/*/*/history.csv")
    process.kill()
    finish(process)
    (run,) = tmp_path.glob("outputs/*/*/jobs/*/*/*")
    deadline = time.monotonic() + 60
    while RunDir(run).in_use:
        assert time.monotonic() < deadline, "the job continues"
        time.sleep(0.05)
    assert not RunDir(run).finished
    code, stdout, stderr = finish(start(*arguments, "sweep.resume=auto", cwd=tmp_path))
    sweep = run.parents[3]
    assert (code, stdout[-1]) == (1, str(sweep.relative_to(tmp_path))), stderr
    assert "resuming after step" in (run / "train.log").read_text()
    best, failed = csv.DictReader((sweep / "sweep.csv").read_text().splitlines())
    report = alone("train.epochs=8", "seed=1")
    assert float(best["validation_accuracy"]) == report["validation"]["accuracy"]
    assert float(best["test_accuracy"]) == report["test"]["accuracy"]
    assert failed["reason"] == "seed=-1: must be at least 0 and at most 2147483647"


class AllHopeless:
    """A search with no more jobs, to which a run is hopeless as soon as it has an epoch."""

    def __init__(self, sweep):
        self.sweep = sweep

    def next_job(self):
        return None

    def hopeless(self, job):
        return bool(results.accuracies(self.sweep.run(job)))


@pytest.mark.slow
def test_a_hopeless_job_is_stopped(tmp_path):
    sweep = plan.plan([*TINY, f"outputs={tmp_path}", "train.epochs=1000", "seed=1,2"], None, trials=1)
    assert Pool(sweep, [Share("", {})], LocalLauncher(), AllHopeless(sweep)).run(lambda: None) is None
    (job,) = sweep.jobs
    accuracies = results.accuracies(sweep.run(job))
    assert (job.state, job.exit_code, job.result) == ("pruned", 143, {"validation_accuracy": max(accuracies)})
    assert len(accuracies) < 1000


def hanging(tmp_path, fault):
    """A sweep of two jobs that have both begun and do not end, and its folder."""
    process = start(*TINY, "seed=1,2,3", "sweep.jobs=2", cwd=tmp_path, FAULTS=f"seed=1:{fault} seed=2:{fault}")
    for log in wait_for(tmp_path, "outputs/*/*/jobs/*/log.txt", count=2):
        while "hangs" not in log.read_text():
            time.sleep(0.02)
    (sweep,) = tmp_path.glob("outputs/*/*-sweep")
    return process, sweep


def states(sweep):
    return [job["state"] for job in json.loads((sweep / "sweep.json").read_text())["jobs"]]


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_stop_is_handed_on_to_the_jobs(tmp_path, number):
    process, sweep = hanging(tmp_path, "hang")
    process.send_signal(number)
    code, stdout, stderr = finish(process)
    assert (code, stdout) == (128 + number, []), stderr
    assert f"continue with: vit-train -m sweep.resume={sweep.relative_to(tmp_path)}\n" in stderr
    assert states(sweep) == ["interrupted", "interrupted", "waiting"]


@pytest.mark.slow
def test_a_second_stop_kills(tmp_path):
    process, sweep = hanging(tmp_path, "hang_on")
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)  # two at once would be two all the same
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    assert states(sweep) == ["interrupted", "interrupted", "waiting"]
