"""Real processes, really killed: what goes on equals what was never stopped."""

import csv
import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

CLOCK = ("seconds", "images_per_second")
ARGUMENTS = (
    "experiment=quickstart",
    "train.epochs=3",
    "train.checkpoint.every=4",
    "train.early_stopping.patience=2",
    "schedule.warmup=5",
    "dataset.fraction=0.5",
    "train.batch_size=32",
)


def start(*arguments, cwd):
    command = [sys.executable, "-m", "vit_train", *arguments]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    stdout, stderr = process.communicate(timeout=300)
    return process.returncode, stdout, stderr


def result_of(run: Path):
    """All that must be equal: arrays of the last state and of the best epoch, history and report without the clock."""
    newest = max(run.glob("checkpoints/step-*"))
    arrays = {}
    for name in ("latest", "best"):
        with np.load(newest / f"{name}.npz") as file:
            arrays |= {f"{name}/{key}": file[key] for key in file.files}
    with (run / "history.csv").open(newline="") as file:
        rows = [{key: row[key] for key in row if key not in CLOCK} for row in csv.DictReader(file)]
    report = json.loads((run / "report.json").read_text())
    report["training"] = {key: value for key, value in report["training"].items() if key not in CLOCK}
    return arrays, rows, {**report, "run_dir": ""}


def assert_equal(ours, theirs):
    (arrays, *rest), (expected, *expected_rest) = ours, theirs
    assert rest == expected_rest
    assert arrays.keys() == expected.keys()
    assert [name for name in arrays if not np.array_equal(arrays[name], expected[name])] == []


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def unbroken(request, tmp_path_factory):
    """Arguments, and the result of a run of them that was left alone."""
    pytest.importorskip(request.param)
    folder = tmp_path_factory.mktemp("unbroken")
    arguments = (*ARGUMENTS, f"compute.backend={request.param}", "compute.devices=cpu")
    code, stdout, stderr = finish(start(*arguments, cwd=folder))
    assert code == 0, stderr
    return arguments, result_of(folder / stdout.splitlines()[-1])


def wait_for_training(process, folder, seconds):
    """Returns some time after the first checkpoint, or when the process has ended."""
    while process.poll() is None and not list(folder.glob("outputs/*/*/checkpoints/step-*")):
        time.sleep(0.05)
    time.sleep(seconds)


def test_killed_at_random_it_ends_as_if_left_alone(unbroken, tmp_path):
    arguments, expected = unbroken
    generator = random.Random(0)
    process = start(*arguments, cwd=tmp_path)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        wait_for_training(process, tmp_path, generator.uniform(0, 6))
        (run,) = tmp_path.glob("outputs/*/*")
        process.send_signal(number)
        code, _, stderr = finish(process)
        if code == 0:
            break
        assert code in (-number, 128 + number), stderr
        if code == 128 + number and "going on" in stderr:
            assert re.search(rf"step \d+ is saved; go on with: vit-train resume={run.relative_to(tmp_path)}", stderr)
        process = start(f"resume={run.relative_to(tmp_path)}", cwd=tmp_path)
    code, _, stderr = finish(process) if process.poll() is None else (process.returncode, "", "")
    assert code == 0, stderr
    (run,) = tmp_path.glob("outputs/*/*")
    assert_equal(result_of(run), expected)
    assert len(list(run.glob("checkpoints/*"))) <= 2


def test_a_finished_run_is_extended_as_if_it_had_been_longer(unbroken, tmp_path):
    arguments, _ = unbroken
    constant = ("schedule=constant",)
    code, stdout, stderr = finish(start(*arguments, *constant, cwd=tmp_path))
    assert code == 0, stderr
    short = tmp_path / stdout.splitlines()[-1]
    code, _, stderr = finish(start(f"resume={short}", "train.epochs=4", cwd=tmp_path))
    assert code == 0, stderr
    code, stdout, stderr = finish(start(*arguments, *constant, "train.epochs=4", cwd=tmp_path))
    assert code == 0, stderr
    assert_equal(result_of(short), result_of(tmp_path / stdout.splitlines()[-1]))


def test_auto_starts_and_goes_on(tmp_path):
    process = start(*ARGUMENTS, "resume=auto", cwd=tmp_path)
    wait_for_training(process, tmp_path, 0)
    process.terminate()
    code, _, stderr = finish(process)
    assert code == 143, stderr
    code, _stdout, stderr = finish(start(*ARGUMENTS, "resume=auto", cwd=tmp_path))
    assert code == 0, stderr
    assert "going on after step" in stderr
    assert len(list(tmp_path.glob("outputs/*/*"))) == 1


def test_a_second_process_is_refused(tmp_path):
    process = start(*ARGUMENTS, cwd=tmp_path)
    wait_for_training(process, tmp_path, 0)
    (run,) = tmp_path.glob("outputs/*/*")
    code, _, stderr = finish(start(f"resume={run}", cwd=tmp_path))
    process.kill()
    finish(process)
    assert (code, stderr) == (4, f"vit-train: {run}: another process is training in this directory\n")
