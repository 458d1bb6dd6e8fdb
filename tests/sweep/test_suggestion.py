"""The rules of the learning-rate finder on curves whose answer is known, and beside fastai's own code."""

import numpy as np
import pytest

from vit_train.sweep.suggestion import RULES, Curve, learns, minimum, smoothed, steepest, valley

RATES = np.logspace(-6, 1, 141)


def fastai_valley(lrs, losses):
    """`valley` of fastai 2.8 (fastai/callback/schedule.py, Apache 2.0), without its tensors."""
    n = len(losses)
    max_end = 0
    lds = [1] * n
    for i in range(1, n):
        for j in range(i):
            if (losses[i] < losses[j]) and (lds[i] < lds[j] + 1):
                lds[i] = lds[j] + 1
            if lds[max_end] < lds[i]:
                max_end = i
                max_start = max_end - lds[max_end]
    sections = (max_end - max_start) / 3
    return lrs[max_start + int(sections) + int(sections / 2)]


def test_steepest_is_the_middle_of_a_logistic_fall():
    falling = 2 - 1 / (1 + np.exp(-4 * np.log10(RATES / 1e-3)))
    assert steepest(Curve(RATES, falling)) == pytest.approx(1e-3)


def test_the_minimum_of_a_parabola_and_its_parts():
    curve = Curve(RATES, np.log10(RATES / 1e-2) ** 2)
    assert minimum(curve) == pytest.approx(1e-2)
    assert [RULES[name](curve) for name in ("minimum", "minimum/10")] == pytest.approx([1e-2, 1e-3])


def test_the_valley_of_a_straight_fall_is_half_way_down():
    losses = np.concatenate([np.linspace(3, 1, 101), np.linspace(1, 9, 41)[1:]])
    assert RATES[47] <= valley(Curve(RATES, losses)) <= RATES[51]


@pytest.mark.parametrize("seed", range(5))
def test_the_valley_is_where_fastai_has_it(seed):
    losses = np.cumsum(np.random.default_rng(seed).normal(-0.1, 1, len(RATES)))
    assert valley(Curve(RATES, losses)) == fastai_valley(RATES, losses)


def test_smoothing_keeps_what_is_straight_and_takes_noise_away():
    straight = np.linspace(3, 1, len(RATES))
    inner = smoothed(list(zip(RATES, straight, strict=True))).losses[20:-20]
    assert inner == pytest.approx(straight[20:-20])
    noise = np.random.default_rng(0).normal(0, 1, len(RATES))
    assert smoothed(list(zip(RATES, noise, strict=True))).losses.std() < 0.5


def test_no_rule_is_moved_by_the_unit_of_the_loss_or_of_the_rate():
    losses = np.log10(RATES / 1e-2) ** 2 + 1
    for rule in RULES.values():
        assert rule(Curve(RATES, 7 * losses)) == rule(Curve(RATES, losses))
        assert rule(Curve(8 * RATES, losses)) == pytest.approx(8 * rule(Curve(RATES, losses)))


def test_a_loss_that_only_rises_or_stays_teaches_nothing():
    assert not learns(Curve(RATES, np.linspace(1, 2, len(RATES))))
    assert not learns(Curve(RATES, np.ones(len(RATES))))
    assert not learns(Curve(RATES[:1], np.ones(1)))
    assert learns(Curve(RATES, np.linspace(2, 1, len(RATES))))
