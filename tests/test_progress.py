"""What is seen of a training, at the widths that terminals have."""

import io
import re

import pytest
from rich.console import Console

from vit_train import progress
from vit_train.progress import Pace, TrainingDisplay, fit

ROW = {
    "learning_rate": 1e-3,
    "images_per_second": 512.4,
    **{f"{part}{name}": value for part in ("", "val_") for name, value in (("loss", 2.5), ("accuracy", 0.25))},
    "top5_accuracy": 0.5,
    "val_top5_accuracy": 0.625,
}


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when the test says so."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


@pytest.fixture
def terminal(monkeypatch):
    """Makes a terminal of so many columns: `terminal(80)` -> what is written to it."""

    def make(width):
        console = Console(
            file=io.StringIO(), force_terminal=True, width=width, height=24, color_system=None, soft_wrap=True,
            force_interactive=False,
        )  # fmt: skip
        monkeypatch.setattr(progress, "stderr", console)
        monkeypatch.setattr(progress, "say", lambda text, shown=None: console.print(shown or text))
        return console

    return make


def bar(display):
    """The line of the bar as it is now."""
    console = Console(file=io.StringIO(), force_terminal=True, width=progress.stderr.width, color_system=None)
    console.print(display.progress.get_renderable())
    return console.file.getvalue().rstrip("\n")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_bar_steps_loss_and_time_left_have_room(terminal, clock, width):
    terminal(width)
    display = TrainingDisplay(epochs=100, steps_per_epoch=1000, batch_size=256)
    display.start_epoch(99)
    for done in (997, 998, 999):
        clock(0.5)
        display.step(done, lambda: ROW)
    line = bar(display)
    assert len(line) <= width
    assert "\n" not in line
    for text in ("99/100", "999/1000", "loss 2.500", "0:08:20 left"):
        assert text in line
    assert line.count("━") >= (0 if width == 40 else 8)
    assert ("epoch" in line) == (width >= 80)
    assert ("lr 1.0e-03 512 images/s" in line) == (width == 120)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_line_of_an_epoch_never_folds(terminal, clock, width):
    console = terminal(width)
    display = TrainingDisplay(epochs=2000, steps_per_epoch=2, batch_size=8)
    with display:
        display.start_epoch(1999)
        for done in (1, 2):
            clock(3600 * 500)
            display.step(done, lambda: ROW)
        display.end_epoch({**ROW, "loss": 123456.789})
    shown = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", console.file.getvalue())
    lines = [line for line in shown.splitlines() if "epoch" in line or "123456.789" in line]
    assert not [line for line in lines if len(line) > width]
    assert lines[0].split()[:3] == ["epoch", "loss", "acc"] if width >= 60 else ["epoch", "loss", "val"]


def test_without_a_terminal_there_is_a_line_a_minute(clock, capsys):
    with TrainingDisplay(epochs=2, steps_per_epoch=100, batch_size=8) as display:
        display.start_epoch(1)
        for done in range(1, 51):
            clock(3)
            display.step(done, lambda: ROW)
        for _ in range(30):
            clock(3)
            display.validation_batch()
        display.end_epoch(ROW)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "  epoch    loss    acc  top-5  val loss    acc  top-5       lr images/s     left",
        "epoch 1/2: compiling the first step",
        "epoch 1/2 step 20/100: loss 2.500 acc 0.250 top-5 0.500 lr 1.0e-03 3 images/s 0:09:00 left",
        "epoch 1/2 step 40/100: loss 2.500 acc 0.250 top-5 0.500 lr 1.0e-03 3 images/s 0:08:00 left",
        "epoch 1/2: validating",
        "epoch 1/2: validating",
        "    1/2   2.500  0.250  0.500     2.500  0.250  0.625  1.0e-03      512  0:05:00",
    ]


def test_metrics_are_fetched_only_to_be_shown(capsys):
    with TrainingDisplay(epochs=3, steps_per_epoch=2, batch_size=8) as display:
        display.start_epoch(1)
        display.step(1, lambda: pytest.fail("fetched"))


def test_time_left_is_that_of_the_recent_steps_and_no_compilation():
    pace = Pace()
    assert pace.seconds_left(10, 1) is None
    pace.step(60.0)  # after a minute of compilation
    assert pace.seconds_left(9, 1) is None
    for now in (61.0, 62.0):
        pace.step(now)
    assert pace.seconds_left(7, 1) == 7.0
    pace.validation_batch(80.0)  # compiled, too
    pace.validation_batch(83.0)
    pace.step(85.0)  # the first of the next epoch, so 5 s lie between
    assert pace.seconds_left(9, 2) == 19.0
    for each in range(100):  # it is slower now
        pace.step(85.0 + 4 * (each + 1))
    assert pace.seconds_left(1, 0) == 4.0
    assert pace.seconds_left(0, 0) == 0.0


def test_epochs_of_one_step_have_a_pace_too():
    pace = Pace()
    for epoch in range(3):
        pace.step(10.0 * epoch)
        pace.validation_batch(10.0 * epoch + 4)
    assert pace.seconds_left(2, 3) == 18.0


def test_what_matters_least_is_left_out_first():
    parts = [("12/99", 0), ("loss 1.0", 0), ("acc 0.5", 1), ("", 1), ("lr 1e-3", 2)]
    assert fit(parts, 30) == "12/99 loss 1.0 acc 0.5 lr 1e-3"
    assert fit(parts, 29) == "12/99 loss 1.0 acc 0.5"
    assert fit(parts, 22) == "12/99 loss 1.0 acc 0.5"
    assert fit(parts, 21) == "12/99 loss 1.0"
    assert fit(parts, 3) == "12/99 loss 1.0"
