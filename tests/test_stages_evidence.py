"""The axis, the noise, and significant turns of a series, against naive forms of the same definitions."""

from itertools import combinations

import numpy as np
import pytest
import thresholds
from simulated import sigmoid

from landscape.stages.events import critical, evidence
from landscape.stages.events.evidence import Turn
from landscape.stages.series import axis, noise

COUNT = 10_000
"""Differences that the noise counts as known from."""


def test_dates_do_not_depend_on_the_unit_of_the_steps() -> None:
    steps = np.array([0, 200, 400, 600, 20_000.0])
    updates, tokens = axis.of(steps), axis.of(steps * 2_097_152)
    np.testing.assert_allclose(updates.x(steps), tokens.x(steps * 2_097_152))
    assert updates.x(steps)[:3].tolist() == pytest.approx(np.log([1, 2, 3]))
    assert [updates.step(x) for x in updates.x(steps)] == steps.tolist()
    assert axis.of(np.array([0.0, 1, 2])).x(np.array([5.0])) == pytest.approx(np.log(6))
    assert axis.of(np.array([0.0])).unit == 1


def test_scatter_is_that_of_the_noise_and_not_of_the_curve() -> None:
    random = np.random.default_rng(0)
    x = np.sort(random.uniform(0, 5, 4000))
    found = noise.scatter([x], [np.sin(x) + 0.3 * random.standard_normal(4000)])
    assert found.sd == pytest.approx(0.3, rel=4 * 1.17 / np.sqrt(4000)) and found.count in (3998, 3997)
    few = np.array([0.0, 0.7, 1.1, 2.4, 3.9])
    np.testing.assert_allclose(noise.residuals(few, 3 + 2 * few, 2), 0, atol=1e-12)
    np.testing.assert_allclose(noise.residuals(few, 3 + 2 * few - few**2, 3), 0, atol=1e-12)
    for order in (2, 3):
        unit = np.stack([noise.residuals(few, row, order) for row in np.eye(5)])
        np.testing.assert_allclose((unit**2).sum(axis=0), 1)


def test_what_seeds_share_is_no_noise_and_copies_have_some() -> None:
    """Five runs of one jagged curve: the noise is estimated, which no single run allows."""
    random = np.random.default_rng(1)
    x = np.linspace(0, 3, 30)
    jagged = random.standard_normal(30)
    runs = [jagged + 0.05 * random.standard_normal(30) for _ in range(5)]
    alone, together = noise.scatter([x], [runs[0]]).sd, noise.scatter([x] * 5, runs).sd
    assert alone > 0.5 and together == pytest.approx(noise.MIN_SCATTER_SHARE * noise.robust(
        np.concatenate([noise.residuals(x, run, 2) for run in runs])), rel=0.3)  # fmt: skip
    copies = noise.scatter([x] * 5, [jagged] * 5).sd
    assert copies == pytest.approx(noise.MIN_SCATTER_SHARE * alone, rel=0.3)
    smooth = [np.sin(x + late) + 0.05 * random.standard_normal(30) for late in np.linspace(-0.2, 0.2, 5)]
    assert noise.scatter([x] * 5, smooth).sd == pytest.approx(0.05, rel=4 * 1.17 / np.sqrt(5 * 28))


def test_a_series_that_is_mostly_constant_is_not_noiseless() -> None:
    still = np.r_[np.zeros(20), 0.3, 0.1, 0.5, 0.2]
    assert noise.scatter([np.arange(24.0)], [still]).sd > 0.015


def means(value: np.ndarray, sd: float, q: float) -> dict[tuple[int, int], tuple[float, float]]:
    """Bounds of the mean of every stretch of the lengths that are looked at, one by one."""
    n = len(value)
    out = {}
    for length in evidence._lengths(n // 2):
        half = sd * np.sqrt((q**2 + 2 * np.log(n / length)) / length)
        for first in range(n - length + 1):
            mean = value[first : first + length].mean()
            out[first, first + length - 1] = mean - half, mean + half
    return out


def monotone(bounds: dict[tuple[int, int], tuple[float, float]], first: int, last: int, sign: int) -> bool:
    """Whether no two stretches of a segment contradict that it is monotone."""
    inside = [(a, b, *ends) for (a, b), ends in bounds.items() if first <= a and b <= last]
    return not any(
        (low > other_high) if sign > 0 else (high < other_low)
        for a, b, low, high in inside
        for c, _, other_low, other_high in inside
        if c > b
    )


@pytest.mark.parametrize("seed", range(4))
def test_turning_points_are_those_of_the_fewest_monotone_segments(seed: int) -> None:
    """No division into fewer segments agrees with the bounds of all stretches, tried one by one."""
    random = np.random.default_rng(seed)
    n = 16
    value = np.cumsum(random.choice([-1, 1], n) * random.uniform(0, 3, n))
    sd = 0.5
    found = evidence.turning_points(value, np.full(n, sd), COUNT)
    bounds = means(value, sd, critical.threshold(n, COUNT, critical.FALSE, pace=False))

    def divided(turns: int) -> list[tuple[int, tuple[int, ...]]]:
        return [
            (sign, cuts)
            for cuts in combinations(range(1, n - 1), turns)
            for sign in (1, -1)
            if all(monotone(bounds, a, b, sign * (-1) ** k)
                   for k, (a, b) in enumerate(zip((0, *cuts), (*cuts, n - 1), strict=True)))
        ]  # fmt: skip

    assert found and [turn.sign for turn in found[1:]] == [-turn.sign for turn in found[:-1]]
    assert not divided(len(found) - 1)
    every = divided(len(found))
    assert every
    for k, turn in enumerate(found):
        assert turn.first <= turn.low <= turn.high <= turn.last
        places = [cuts[k] for sign, cuts in every if sign == found[0].sign]
        assert min(places) >= turn.first - 1 and max(places) <= turn.last


def test_nothing_but_the_order_of_checkpoints_and_the_size_of_noise_counts_for_turning_points() -> None:
    random = np.random.default_rng(3)
    x = np.linspace(0, 6.6, 60)
    value = np.sin(2 * x) + 0.1 * random.standard_normal(60)
    sd = np.full(60, 0.1)
    found = evidence.turning_points(value, sd, COUNT)
    assert [turn.sign for turn in found] == [1, -1, 1, -1]
    tops = (np.pi / 2 + np.pi * np.arange(4)) / 2
    assert all(x[turn.first] <= top <= x[turn.last] for turn, top in zip(found, tops, strict=True))
    assert evidence.turning_points(7 + 3 * value, 3 * sd, COUNT) == found
    over = [Turn(-turn.sign, turn.first, turn.last, turn.low, turn.high) for turn in found]
    assert evidence.turning_points(-value, sd, COUNT) == over
    back = evidence.turning_points(value[::-1], sd, COUNT)
    assert [turn.sign for turn in back] == [turn.sign for turn in found[::-1]]
    assert evidence.turning_points(value, 30 * sd, COUNT) == []


def test_a_plateau_is_a_rise_that_slows_and_speeds_up_again() -> None:
    """Between the two rises of a curve there is one; one rise has none; straight lines have no pace at all."""
    random = np.random.default_rng(4)
    x = np.sort(random.uniform(0, 9, 120))
    sd = np.full(120, 0.02)
    two = sigmoid(x, 3, 0.4) + sigmoid(x, 6, 0.4) + sd * random.standard_normal(120)
    found = evidence.paces(x, two, sd, COUNT)
    assert [turn.sign for turn in found] == [-1, 1, -1]
    assert all(x[t.first] <= place <= x[t.last] for t, place in zip(found, (3, 4.5, 6), strict=True))
    assert [t.sign for t in evidence.paces(x, -two, sd, COUNT)] == [1, -1, 1]
    one = evidence.paces(x, sigmoid(x, 4, 0.5) + sd * random.standard_normal(120), sd, COUNT)
    assert [turn.sign for turn in one] == [-1]
    assert evidence.paces(x, 5 - 3 * x + sd * random.standard_normal(120), sd, COUNT) == []


def test_a_middle_is_compared_with_the_line_through_its_neighbours() -> None:
    random = np.random.default_rng(5)
    x, value = np.sort(random.uniform(0, 4, 12)), random.standard_normal(12)
    weight = random.uniform(0.5, 2, 12)
    first, last, score = evidence._bent(x, value, weight, (2, 4, 3))
    for a, b, s in zip(first, last, score, strict=True):
        parts = [slice(a, a + 2), slice(a + 2, a + 6), slice(a + 6, b + 1)]
        (x0, y0), (x1, y1), (x2, y2) = [
            tuple(np.average(of[part], weights=weight[part]) for of in (x, value)) for part in parts
        ]
        share = (x1 - x0) / (x2 - x0)
        variances = [1 / weight[part].sum() for part in parts]
        error = np.sqrt(variances[1] + (1 - share) ** 2 * variances[0] + share**2 * variances[2])
        assert s == pytest.approx((y1 - np.interp(x1, [x0, x2], [y0, y2])) / error)


@pytest.mark.parametrize(("n", "runs", "pace"), [(14, 1, False), (30, 3, False), (14, 3, True), (50, 10, True)])
def test_thresholds_are_those_of_white_noise(n: int, runs: int, pace: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many worlds are beyond the stored threshold as should be, up to the error of so many worlds."""
    worlds = 1500
    monkeypatch.setattr(critical, "CURVED", 1.0)
    found = thresholds.statistics(n, runs, pace, np.random.default_rng(99), worlds)
    for level in (critical.FALSE, critical.TAILS):
        beyond = (found > critical.threshold(n, runs * (n - 2), level, pace=pace)).mean()
        assert beyond == pytest.approx(level, abs=5 * np.sqrt(level * (1 - level) / worlds)), "their own error too"


def test_thresholds_between_the_stored_ones_lie_between_them() -> None:
    for pace in (False, True):
        at = [critical.threshold(n, n - 2, critical.FALSE, pace=pace) for n in (14, 17, 20)]
        assert at[0] > at[1] > at[2]
        known = [critical.threshold(20, count, critical.FALSE, pace=pace) for count in (9, 20, 90, 9999)]
        assert known[0] > known[1] > known[2] == known[3]


def test_white_noise_shows_nothing() -> None:
    random = np.random.default_rng(6)
    x, worlds = np.linspace(0, 5, 40), 300
    false = np.zeros(3)
    for _ in range(worlds):
        value = random.standard_normal(40)
        own = noise.scatter([x], [value])
        sd = np.full(40, own.sd)
        false += [
            bool(evidence.turning_points(value, sd, own.count)), bool(evidence.paces(x, value, sd, own.count)),
            evidence.changes(value, sd, own.count),
        ]  # fmt: skip
    assert (false / worlds <= 0.02 + 4 * np.sqrt(0.02 * 0.98 / worlds)).all()


def test_more_checkpoints_show_more() -> None:
    """A dip of ten standard deviations that lasts for a fortieth of the axis: with twice the checkpoints it stays."""
    x = np.linspace(0, 4, 1281)
    curve = 5 * x - 3 * np.exp(-0.5 * ((x - 2) / 0.05) ** 2) - 4 * (x > 2) * (x - 2)
    white = np.random.default_rng(7).standard_normal(1281)
    counts = []
    for every in (16, 8, 4, 2, 1):
        value = (curve + 0.3 * white)[::every]
        counts.append(len(evidence.turning_points(value, np.full(len(value), 0.3), COUNT)))
    assert counts == sorted(counts) and counts[-1] == 2


def test_a_segment_begins_where_the_one_before_it_was_rejected() -> None:
    """By hand: the next segment begins one checkpoint before the last one was rejected."""
    asked: list[tuple[int, int]] = []

    def refuted(start: int, sign: int) -> int:
        asked.append((start, sign))
        return {(0, 1): 4, (3, -1): 7, (6, 1): 9}[start, sign]

    assert list(evidence._segments(9, refuted, 1)) == [(1, 4), (-1, 7)]
    assert asked == [(0, 1), (3, -1), (6, 1)]


def test_of_two_shortest_divisions_the_first_segment_is_significant() -> None:
    """A fall is rejected at once and a rise late: with as many segments, the series rises first."""
    reach = {(0, 1): 6, (5, -1): 9, (0, -1): 2, (1, 1): 9}

    def stretch(first: int, last: int, level: float):
        return (lambda start, sign: reach.get((start, sign), 9)), (lambda start, sign: 5)

    (turn,) = evidence._alternating(9, stretch)
    assert (turn.sign, turn.last) == (1, 6)
