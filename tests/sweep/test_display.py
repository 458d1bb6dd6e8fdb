import io

import pytest
from rich.console import Console

from vit_train.sweep import display


def test_elsewhere_than_in_a_terminal_there_is_a_line_for_each_change(planned, capsys):
    sweep = planned("seed=1,2", "model.patch_size=3,4")
    with display.display(sweep) as show:
        show()
        show()
        sweep.jobs[1].state = "running"
        show()
        sweep.jobs[1].state = "completed"
        sweep.jobs[1].result = {"validation_accuracy": 0.5, "seconds": 61.0}
        show()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("[1/4] seed=1, patch_size=3: failed: model.patch_size=3: does not divide")
    assert lines[2:] == [
        "[2/4] seed=1, patch_size=4: running",
        "[2/4] seed=1, patch_size=4: completed, 50.00% on validation, 0:01:01; about 0:01:01 left",
    ]


@pytest.fixture
def terminal(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=8, color_system=None)
    monkeypatch.setattr(display, "stderr", console)
    return console


def test_the_table_shows_state_epoch_accuracy_and_time_left(planned, ran, terminal):
    sweep = planned("seed=1,2")
    ran(sweep, sweep.jobs[0], [0.25, 0.125])
    sweep.jobs[0].state, sweep.jobs[0].epochs = "running", 5
    terminal.print(display.LiveTable(sweep).draw())
    text = terminal.file.getvalue()
    rows = [line.split() for line in text.splitlines()]
    assert ["1", "seed=1", "running", "2/5", "25.0%", "0:03:00"] in rows
    assert ["2", "seed=2", "waiting", "0/2", "-", "-"] in rows
    assert "1 running, 1 waiting" in text


def test_a_long_name_takes_no_room_from_the_figures(planned, ran, terminal):
    sweep = planned(
        "optimizer.learning_rate=0.0012345,0.1", "optimizer.weight_decay=0.0012345,0.1", "model.dropout=0.12345,0.1"
    )
    ran(sweep, sweep.jobs[0], [0.25])
    sweep.jobs[0].state = "completed"
    terminal.print(display.LiveTable(sweep).draw())
    row = next(line for line in terminal.file.getvalue().splitlines() if "learning_rate=0.0012345" in line)
    assert "…" in row
    assert row.split()[-4:] == ["completed", "1/2", "25.0%", "-"]


def test_with_more_jobs_than_lines_the_running_ones_are_shown(planned, terminal):
    sweep = planned("seed=range(9)")
    sweep.jobs[8].state = "running"
    terminal.print(display.LiveTable(sweep).draw())
    lines = terminal.file.getvalue().splitlines()
    assert any(line.split()[:3] == ["9", "seed=8", "running"] for line in lines)
    assert len(lines) == terminal.height - 1


def test_in_a_terminal_the_last_table_stays(planned, terminal):
    sweep = planned("seed=1,2")
    with display.display(sweep) as show:
        show()
        sweep.jobs[0].fail(1, "lost")
    assert "failed" in terminal.file.getvalue()
