"""Real processes, really killed: what continues ends bit for bit as what was never stopped."""

import functools
import json
import random
import re
import signal
import time

import pytest
from conftest import TINY
from killing import ARGUMENTS, complete, differences, finish, result_of, start

from vit_train.rundir import resume
from vit_train.rundir.layout import RunDir


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Gives the arguments for a backend, and the result of a run of them that was left alone."""

    @functools.cache
    def run(backend):
        pytest.importorskip(backend)
        arguments = (*ARGUMENTS, f"compute.backend={backend}")
        return arguments, result_of(complete(*arguments, cwd=tmp_path_factory.mktemp(backend)))

    return run


def wait_for_training(process, folder, seconds=0.0):
    """Returns some time after the first checkpoint, or when the process has ended."""
    while process.poll() is None and not list(folder.glob("outputs/*/*/checkpoints/step-*")):
        time.sleep(0.05)
    time.sleep(seconds)


@pytest.mark.slow
def test_a_second_process_is_refused_and_auto_continues(unbroken, tmp_path):
    arguments, expected = unbroken("tensorflow")
    first = start(*arguments, "resume=auto", cwd=tmp_path)
    wait_for_training(first, tmp_path)
    first.send_signal(signal.SIGSTOP)  # it holds the directory, and does not end before the second is there
    (run,) = tmp_path.glob("outputs/*/*")
    code, _, stderr = finish(start(f"resume={run}", cwd=tmp_path))
    first.terminate()
    first.send_signal(signal.SIGCONT)
    assert code == 4, stderr
    assert stderr.endswith(f"vit-train: {run}: another process is training in this directory\n")
    code, _, stderr = finish(first)
    assert code == 143, stderr
    code, _, stderr = finish(start(*arguments, "resume=auto", cwd=tmp_path))
    assert code == 0, stderr
    assert "resuming after step" in stderr
    assert list(tmp_path.glob("outputs/*/*")) == [run]
    assert differences(result_of(run), expected) == []


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_killed_at_random_it_ends_as_if_left_alone(unbroken, tmp_path, backend):
    arguments, expected = unbroken(backend)
    generator = random.Random(0)
    process = start(*arguments, cwd=tmp_path)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        wait_for_training(process, tmp_path, generator.uniform(0, 1))
        process.send_signal(number)
        code, _, stderr = finish(process)
        if code == 0:
            break
        assert code in (-number, 128 + number), stderr
        (run,) = tmp_path.glob("outputs/*/*")
        asked = f"resume={run.relative_to(tmp_path)}"
        if "is saved" in stderr:
            assert re.search(rf"step \d+ is saved; continue with: vit-train {asked}\n", stderr)
        process = start(asked, cwd=tmp_path)
    else:
        code, _, stderr = finish(process)
    assert code == 0, stderr
    (run,) = tmp_path.glob("outputs/*/*")
    assert differences(result_of(run), expected) == []
    assert len(list(run.glob("checkpoints/*"))) <= 2


HALF_OF_THE_WEIGHTS = "system:18:in:SIGKILL"  # of the first checkpoint are written
# An epoch has 18 steps and 5 batches of validation; a checkpoint every 4 steps flushes 4 files and 2 folders.
FAULTS = (
    HALF_OF_THE_WEIGHTS,
    "check:7:after:SIGKILL",  # in the midst of the first validation
    "rename:2:before:SIGKILL",  # a checkpoint is written, but has not got its name
    "rmtree:1:before:SIGKILL",  # it has, but the oldest is still there
    "report:2:before:SIGKILL",  # report.md is written, but report.json does not say "completed"
    "check:27:before:SIGTERM",  # in the midst of the last validation
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "fault"),
    # What happens on the disk does not depend on the backend.
    [*(("tensorflow", fault) for fault in FAULTS), ("jax", "step:18:before:SIGTERM")],  # the last step of an epoch
)
def test_stopped_at_a_chosen_point_it_ends_as_if_left_alone(unbroken, tmp_path, backend, fault):
    arguments, expected = unbroken(backend)
    code, _, stderr = finish(start(*arguments, cwd=tmp_path, FAULT=fault, FAULT_FOLDER=str(tmp_path)))
    number = signal.Signals[fault.split(":")[-1]]
    assert code == (-number if number == signal.SIGKILL else 128 + number), stderr
    (run,) = tmp_path.glob("outputs/*/*")
    assert not RunDir(run).finished
    assert differences(result_of(complete(f"resume={run}", cwd=tmp_path)), expected) == []


def test_killed_in_its_first_checkpoint_it_ends_as_if_left_alone(finished, eagerly, tmp_path):
    """Killed in a process of its own, continued in this one."""
    from vit_train.run import train

    fault = {"FAULT": HALF_OF_THE_WEIGHTS, "FAULT_FOLDER": str(tmp_path)}
    code, _, stderr = finish(start(*TINY, "train.checkpoint.every=1", cwd=tmp_path, **fault))
    assert code == -signal.SIGKILL, stderr
    (run,) = tmp_path.glob("outputs/*/*")
    assert [path.name for path in run.glob("checkpoints/*/*")] == ["latest.npz"]
    train(resume.load([f"resume={run}"]))
    assert differences(result_of(run), result_of(finished.path)) == []


@pytest.mark.slow
def test_killed_while_it_draws_it_ends_as_if_left_alone(unbroken, tmp_path):
    arguments, expected = unbroken("tensorflow")
    code, _, stderr = finish(start(*arguments, "figures=true", cwd=tmp_path, FAULT="figure:3:after:SIGKILL"))
    assert code == -signal.SIGKILL, stderr
    (run,) = tmp_path.glob("outputs/*/*")
    found = sorted(path.name for path in (run / "figures").iterdir())
    assert found == [".part-reliability.png", "confusion.png", "curves.png"]
    assert json.loads((run / "report.json").read_text())["status"] == "reporting"
    assert differences(result_of(complete(f"resume={run}", cwd=tmp_path)), expected) == []
    assert {"reliability.png", "attention.png"} <= {path.name for path in (run / "figures").iterdir()}
    assert not list((run / "figures").glob(".part-*"))
