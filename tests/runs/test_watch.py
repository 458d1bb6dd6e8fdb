import platform
import time
from contextlib import ExitStack

import pytest
from rich.console import Console

from vit_train import console
from vit_train.runs import watch
from vit_train.runs.cli import run as vit_runs


@pytest.fixture
def locks(made, tmp_path, monkeypatch):
    """Two runs in training, of which one is in its first epoch, and one that is not."""
    monkeypatch.chdir(tmp_path)
    made("18-00-00.1-digits-vit", ["dataset=digits", "train.epochs=9"], [0.5, 0.25, 0.5, 0.75])
    made("18-00-01.1-digits-vit", ["dataset=digits", "train.epochs=9"], [0.5])
    made("18-00-02.1-digits-vit", ["dataset=digits", "train.epochs=9"])
    with ExitStack() as stack:
        for second in (0, 2):
            run = watch.RunDir(tmp_path / f"outputs/2026-11-22/18-00-0{second}.1-digits-vit")
            stack.enter_context(run.locked())
        yield stack


def lines(capsys):
    return [line.split() for line in capsys.readouterr().out.splitlines()[2:]]


def test_a_line_for_each_run_in_training(locks, capsys):
    """Its epochs took a minute each, so that five more take five."""
    assert vit_runs(["watch"]) == 0
    assert lines(capsys) == [
        ["11-22/18-00-00", "digits", "vit", "4/9", "75.0%", "0:01:00", "0:05:00"],
        ["11-22/18-00-02", "digits", "vit", "0/9", "-", "-", "-"],
    ]


def test_another_machine_is_named(locks, made, monkeypatch, capsys):
    """As on a file system that both share."""
    run = made("18-00-03.1-digits-vit", ["dataset=digits", "train.epochs=9"])
    with monkeypatch.context() as there:
        there.setattr("platform.node", lambda: "gpu-7")
        locks.enter_context(run.locked())
    assert vit_runs(["watch"]) == 0
    assert [line[:2] for line in lines(capsys)] == [
        [platform.node(), "11-22/18-00-00"], [platform.node(), "11-22/18-00-02"], ["gpu-7", "11-22/18-00-03"]
    ]  # fmt: skip


def test_a_terminal_is_renewed_until_nothing_trains(locks, capsys, monkeypatch):
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            locks.close()

    monkeypatch.setattr(time, "sleep", sleep)
    for module in (watch, console):
        monkeypatch.setattr(module, "stdout", Console(force_terminal=True, width=80))
    assert vit_runs(["watch", "--every", "7"]) == 0
    output = capsys.readouterr()
    assert waits == [7, 7]
    assert output.out.count("18-00-00") == 2
    assert output.err == "nothing is training in outputs\n"


def test_seconds_are_a_number(capsys):
    assert vit_runs(["watch", "--every", "0"]) == 2
    assert "argument --every: 0 is no whole number of 1 or more" in capsys.readouterr().err
