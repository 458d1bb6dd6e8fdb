import pytest
from hypothesis import given
from hypothesis import strategies as st

from vit_train.config.durations import Duration


@pytest.mark.parametrize(
    ("raw", "steps"),
    [(0, 0), (500, 500), ("500 steps", 500), ("1 step", 1), ("2 epochs", 352), ("1 epoch", 176), ("0.5epochs", 88)],
)
def test_steps_of_an_epoch_of_176(raw, steps):
    assert Duration.parse(raw).steps(steps_per_epoch=176) == steps


def test_a_part_of_a_step_counts_as_a_step():
    assert Duration.parse("0.1 epochs").steps(steps_per_epoch=15) == 2


@pytest.mark.parametrize(("raw", "steps"), [("10 %", 3), ("30%", 9), ("12.5 %", 4), ("0 %", 0)])
def test_a_part_of_a_training_of_30_steps(raw, steps):
    assert Duration.parse(raw).steps(steps_per_epoch=10, epochs=3) == steps


@pytest.mark.parametrize("raw", ["", "abc", "-1", "1.5", "2.5 steps", "3 days", True, None, 1.5, "epochs", "1 epoch 2"])
def test_anything_else_is_refused(raw):
    with pytest.raises(ValueError, match="must be"):
        Duration.parse(raw)


def test_minutes_are_read():
    assert Duration.parse("2.5 minutes") == Duration(2.5, "minute")


@given(st.integers(0, 10**6), st.sampled_from(["steps", "epochs", "minutes", "%"]))
def test_text_is_read_back(value, unit):
    duration = Duration.parse(f"{value} {unit}")
    assert Duration.parse(str(duration)) == duration
