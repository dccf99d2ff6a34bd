"""Tests of association, against their definitions written naively over all orders and all resamples."""

from collections.abc import Callable
from itertools import permutations as every_order
from itertools import product
from math import factorial

import numpy as np
import pytest
from scipy import stats
from simulated import SIXTY, drift, sigmoid
from worlds import Every

from landscape.stages import association, matrices, permutations, population


def all_orders(seeds: int) -> np.ndarray:
    return np.array(list(every_order(range(seeds))))


def interval(statistic: Callable[[list[int]], float], seeds: int, least: int = 1) -> np.ndarray:
    """The central 95 % of a statistic over all resamples of so many different seeds or more, if it is known there."""
    draws = [list(draw) for draw in product(range(seeds), repeat=seeds) if len(set(draw)) >= least]
    values = np.array([statistic(draw) for draw in draws])
    return np.quantile(values[~np.isnan(values)], [0.025, 0.975])


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Not a number where one of the two is constant."""
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) and np.ptp(y) else float("nan")


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    return pearson(stats.rankdata(x), stats.rankdata(y))


def left(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What a line through y over x leaves."""
    return y - np.polyval(np.polyfit(x, y, 1), x)


def p_of(statistics: np.ndarray) -> float:
    return float(np.mean(statistics >= statistics[0] - 1e-9))


def test_onset_is_the_mean_of_spearmans_over_the_draws() -> None:
    """Its effect, its exact test over all orders, and its floor, which no order but one reaches."""
    random = np.random.default_rng(6)
    c = random.standard_normal((6, 3))
    b = c + random.standard_normal((6, 3))
    found = association.onset(c, b, permutations.orders(6, 9, random), random)
    every = np.array([np.mean([spearman(c[:, k], b[order, k]) for k in range(3)]) for order in all_orders(6)])
    assert found.effect == pytest.approx(every[0]) and found.p == p_of(every) < 1
    assert found.hypothesis == association.SEED
    one = association.onset(c[:, :1], b[:, :1], permutations.orders(6, 9, random), random)
    assert one.p_floor == pytest.approx(1 / factorial(6))


def test_the_interval_of_an_onset_is_that_of_all_resamples() -> None:
    """Ranked anew in each; those of two seeds, or of seeds that are alike in one of both, say nothing."""
    c, b = np.array([3.0, np.inf, np.inf, np.inf]), np.array([0.5, 1.0, 4.0, 3.0])
    draws = (at[:, None].repeat(4**4, axis=1) for at in (c, b))
    found = association.onset(*draws, all_orders(4), Every(4))
    large = np.where(np.isinf(c), 99.0, c)
    want = interval(lambda draw: spearman(large[draw], b[draw]), 4, least=3)
    assert (found.low, found.high) == pytest.approx(want) and want[0] > 0.2


def test_what_never_happens_is_last_and_ties_are_shared() -> None:
    at = np.array([[3.0, 3.0], [np.inf, 2.0], [5.0, np.inf], [np.inf, np.inf], [-np.inf, 9.0]])
    ranked = association.ranks(at)
    want = np.column_stack([stats.rankdata([2, 4, 3, 4, 1]), stats.rankdata([2, 1, 9, 9, 3])])
    want = want - want.mean(axis=0)
    np.testing.assert_allclose(ranked, want / np.sqrt((want**2).sum(axis=0)))
    random = np.random.default_rng(0)
    level = np.full((4, 5), 2.0)
    same = association.onset(level, at[:4, :1].repeat(5, axis=1), permutations.orders(4, 9, random), random)
    assert same.effect == 0 and same.p == 1 == same.p_floor


def test_ties_raise_the_floor_of_an_exact_test() -> None:
    """Seven seeds, two of which are alike and three others: 2! 3! of the 7! orders are the one that was seen."""
    random = np.random.default_rng(7)
    at = np.array([4.1, 2.3, 4.1, 6.7, 6.7, 1.9, 6.7])[:, None]
    found = association.onset(at, at, permutations.orders(7, 9, random), random)
    assert found.p == found.p_floor == pytest.approx(12 / factorial(7), rel=1e-12)


def test_floors_of_small_designs() -> None:
    random = np.random.default_rng(2)
    for seeds in (3, 4, 5):
        true = np.arange(float(seeds))[:, None]
        found = association.onset(true, true, permutations.orders(seeds, 9, random), random)
        assert found.p == found.p_floor == 1 / factorial(seeds)
    nine = np.arange(9.0)[:, None]
    sampled = association.onset(nine, nine, permutations.orders(9, 99, random), random)
    assert sampled.p == sampled.p_floor == 1 / 100


def test_doubt_about_timing_pulls_the_effect_to_zero() -> None:
    random = np.random.default_rng(8)
    true = np.arange(6.0)[:, None]
    sure, unsure = (
        association.onset(*(true + error * random.standard_normal((6, 400)) for _ in range(2)), all_orders(6), random)
        for error in (0.01, 2.5)
    )
    assert sure.effect > 0.999 and 0.1 < unsure.effect < 0.7
    assert unsure.high - unsure.low > sure.high - sure.low


def test_onset_given_rids_each_order_of_the_third_again() -> None:
    """Freedman and Lane: residuals are permuted, and regressed on what is held fixed once more; with several draws."""
    random = np.random.default_rng(9)
    cause = random.standard_normal((5, 4))
    c, b = (cause + 0.7 * random.standard_normal((5, 4)) for _ in range(2))
    found = association.onset_given(c, b, cause, all_orders(5), random)
    every = np.array([
        np.mean([pearson(left(left(c[:, k], cause[:, k])[order], cause[:, k]), left(b[:, k], cause[:, k]))
                 for k in range(4)])
        for order in all_orders(5)
    ])  # fmt: skip
    np.testing.assert_allclose(found.statistics, every, atol=1e-12)
    assert found.effect == pytest.approx(every[0]) and found.p == p_of(every)
    # Of one draw it is the textbook's partial correlation.
    r = np.corrcoef(np.column_stack([c[:, 0], b[:, 0], cause[:, 0]]).T)
    partial = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    one = association.onset_given(c[:, :1], b[:, :1], cause[:, :1], all_orders(5), random)
    assert one.effect == pytest.approx(partial)


def test_the_interval_of_a_partial_correlation_is_that_of_resamples_of_four_seeds() -> None:
    random = np.random.default_rng(19)
    c, b, cause = random.standard_normal((3, 5))
    draws = (at[:, None].repeat(5**5, axis=1) for at in (c, b, cause))
    found = association.onset_given(*draws, all_orders(5), Every(5))

    def partial(draw: list[int]) -> float:
        r = np.corrcoef(np.stack([c[draw], b[draw], cause[draw]]))
        return (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))

    assert (found.low, found.high) == pytest.approx(interval(partial, 5, least=4))


def test_likeness_is_pearsons_with_the_sign_of_the_means() -> None:
    random = np.random.default_rng(10)
    x, y = random.standard_normal((2, 4, 30)) + np.linspace(0, 3, 30) * np.array([1, -1])[:, None, None]
    found = association.likeness(x, y)
    want = [[-np.corrcoef(a, b)[0, 1] for b in y] for a in x]
    np.testing.assert_allclose(found, want, atol=1e-12)
    orders = permutations.orders(4, 9, random)
    sums = association.swapped(found, orders)
    np.testing.assert_allclose(sums, [sum(want[i][k] for i, k in enumerate(order)) for order in orders])


def test_a_trajectory_is_own_pairs_less_those_of_different_seeds() -> None:
    """Also in each resample, where a seed that is drawn twice is no pair with itself."""
    affinity = np.random.default_rng(13).uniform(-1, 1, (4, 4))
    found = association.trajectory(affinity, all_orders(4), Every(4))

    def contrast(draw: list[int]) -> float:
        own = np.mean([affinity[i, i] for i in draw])
        return float(own - np.mean([affinity[i, j] for i in draw for j in draw if i != j]))

    assert found.effect == pytest.approx(contrast([0, 1, 2, 3]))
    assert (found.low, found.high) == pytest.approx(interval(contrast, 4, least=3))
    every = np.array([sum(affinity[i, k] for i, k in enumerate(order)) for order in all_orders(4)])
    assert found.p == p_of(every) and found.p_floor == 1 / 24


def test_a_perfect_match_of_few_seeds_says_more_than_its_swaps() -> None:
    """Three seeds: p = 1/27 where swaps cannot go below 1/6; one seed that goes better with another's is no match."""
    random = np.random.default_rng(0)
    orders = permutations.orders(3, 9, random)
    best = np.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5], [0.2, 0.1, 0.7]])
    found = association.match(best, orders)
    assert (found.p, found.p_floor, found.effect) == (1 / 27, 1 / 27, 1)
    assert association.trajectory(best, orders, random).p == pytest.approx(1 / 6)
    other, tied, sideways = best.copy(), best.copy(), best.copy()
    other[0, 1] = 0.85  # behaviour 1 goes best with connectivity 0
    found = association.match(other, orders)
    assert found.p >= 1 / 6 and found.effect == pytest.approx(2 / 3)
    half, width = (2 / 3 + stats.norm.ppf(0.975) ** 2 / 6), stats.norm.ppf(0.975)
    middle, share = half / (1 + width**2 / 3), width * np.sqrt(2 / 27 + width**2 / 36) / (1 + width**2 / 3)
    assert (found.low, found.high) == pytest.approx((middle - share, middle + share))  # Wilson's
    tied[0, 1] = 0.8  # behaviour 1 goes as well with connectivity 0
    assert association.match(tied, orders).p >= 1 / 6
    sideways[1, 0] = 0.85  # connectivity 1 goes best with behaviour 0, which goes best with its own
    assert association.match(sideways, orders).p == 1 / 27


def test_coincidences_by_hand() -> None:
    """Seed 0 has two events and seed 1 one; windows reach back by 1 and forward by 0.5."""
    before = [np.array([[1.0], [1.6], [6.0]]), np.array([[2.4]])]
    after = [np.array([[1.9], [5.6], [8.0]]), np.array([[3.5]])]
    found = association.coincidences(before, after, window=1.0, spacing=0.5)
    np.testing.assert_array_equal(found, [[2, 0], [1, 0]])
    half = [np.array([[1.0, 9.0]]), np.empty((0, 1))]
    np.testing.assert_array_equal(association.coincidences(half, [after[0][:1].repeat(2, axis=1), after[1]], 1.0, 0.5),
                                  [[0.5, 0], [0, 0]])  # fmt: skip


def test_a_precursor_is_the_share_of_events_in_every_order_and_resample() -> None:
    counts = np.array([[2.0, 0, 1, 0], [1, 1, 0, 0.5], [0, 0, 3, 1], [1, 0, 2, 0]])
    events = np.array([3, 1, 4, 2])
    found = association.precursor(counts, events, all_orders(4), Every(4))
    every = np.array([sum(counts[i, k] for i, k in enumerate(order)) / 10 for order in all_orders(4)])
    assert found.effect == pytest.approx(0.6) and found.p == p_of(every)
    assert found.p_floor == np.mean(every == every.max())
    want = interval(lambda draw: sum(counts[i, i] for i in draw) / sum(events[i] for i in draw), 4)
    assert (found.low, found.high) == pytest.approx(want)


@pytest.mark.parametrize("shared", [False, True])
def test_lead_flips_the_signs_of_the_medians_of_seeds(shared: bool) -> None:
    """Where connectivity is a mean over pairs, its deviations from the mean of the seeds count twice, in each draw."""
    random = np.random.default_rng(14)
    c, b = np.exp(random.standard_normal((2, 4, 256)))
    found = population.lead(c, b + 0.4, shared=shared, count=9, random=Every(4))
    wide = [[2 * c[i, k] - c[:, k].mean() if shared else c[i, k] for k in range(256)] for i in range(4)]
    difference = b + 0.4 - np.array(wide)
    own = np.median(difference, axis=1)
    sums = np.array([abs(np.dot(signs, own)) for signs in product((1, -1), repeat=4)])
    assert found.effect == pytest.approx(own.mean()) and found.p == p_of(sums) and found.p_floor == 2 / 2**4
    again = [np.mean([difference[i, k] for i in row]) for k, row in enumerate(Every(4).rows)]
    assert (found.low, found.high) == pytest.approx(np.quantile(again, [0.025, 0.975]))


def test_lead_says_how_much_later_and_never_less_than_its_floor() -> None:
    random = np.random.default_rng(1)
    c = random.standard_normal((6, 30)) * 0.05 + 4
    found = population.lead(c, c + 0.7, shared=False, count=99, random=random)
    assert found.effect == pytest.approx(0.7) and found.low == pytest.approx(0.7) == found.high
    assert found.p == found.p_floor == 2 / 2**6
    back = population.lead(c + 0.7, c, shared=False, count=99, random=random)
    assert (back.effect, back.p) == (pytest.approx(-0.7), 2 / 2**6)
    assert found.hypothesis == association.POPULATION


def test_precursors_anywhere_are_as_rare_as_their_windows_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a schedule moved around training from 2 to 10, the share of offsets that put all three events in a window."""
    monkeypatch.setattr(population, "MARKS", 19_999)
    random = np.random.default_rng(15)
    connectivity = [np.array([3.0]), np.array([9.3]), np.empty(0)]
    behaviour = [np.array([3.2]), np.array([9.6, 3.5]), np.empty(0)]
    found = population.precursor(connectivity, behaviour, window=0.5, spacing=0.1, ends=(2.0, 10.0), random=random)
    # Seed 0 is in its window for offsets of -0.3 to 0.3, seed 1's first event for -0.4 to 0.2, its second, which goes
    # around the end, for 5.7 to 6.3. Two of the three are as many as were seen.
    assert found.effect == pytest.approx(2 / 3)
    true = 0.5 / 8
    error = np.sqrt(true * (1 - true) / 20_000)
    assert abs(found.p - true) < 4 * error < 0.008 and found.p_floor == 1 / 20_000
    late = population.precursor(connectivity, [np.array([3.2]), np.array([7.9]), np.empty(0)], window=0.5, spacing=0.1,
                                ends=(2.0, 10.0), random=random)  # fmt: skip
    # One of two events is as many: seed 0 as above, seed 1 for offsets of 1.3 to 1.9.
    true = 1.2 / 8
    error = np.sqrt(true * (1 - true) / 20_000)
    assert late.effect == 0.5 and abs(late.p - true) < 4 * error < 0.012
    exact = population.precursor(connectivity[:2], behaviour[:2], window=0.5, spacing=0.1, ends=(2.0, 10.0),
                                 random=np.random.default_rng(0))  # fmt: skip
    assert (exact.low, exact.high) == (0.5, 1)  # one seed has one event of one, the other one of two


def test_resamples_of_too_few_seeds_say_nothing() -> None:
    """Two seeds correlate perfectly or not at all: three seeds have no interval."""
    random = np.random.default_rng(3)
    assert association.distinct(np.array([[0, 1, 2], [0, 1, 0], [3, 1, 2], [3, 2, 0]])).tolist() == [2, 2, 2]
    kept = association.enough(np.array([0.3, 1.0, -1.0]), np.array([4, 2, 3]), 5)
    np.testing.assert_array_equal(kept, [0.3, np.nan, -1.0])
    assert np.isnan(association.enough(np.ones(2), np.full(2, 3), 3)).all()
    c, points = random.standard_normal((3, 40)), random.standard_normal((3, 3))
    three = permutations.orders(3, 9, random)
    assert np.isnan(association.onset(c, c, three, random).low)
    assert np.isnan(association.trajectory(points, three, random).low)
    apart = np.abs(points - points.T)
    assert np.isnan(matrices.mantel(apart, apart, three, random).low)


def test_no_correlation_is_above_one() -> None:
    random = np.random.default_rng(5)
    apart = matrices.between(random.standard_normal((6, 2)))
    c = random.standard_normal((6, 1)) + np.zeros((6, 50))
    orders = permutations.orders(6, 9, random)
    for found in (
        association.onset(c, c, orders, random),
        association.onset_given(c, c, random.standard_normal((6, 50)), orders, random),
        matrices.mantel(apart, apart, orders, random),
    ):
        assert -1 <= found.low <= found.effect <= found.high <= 1, found.test


@pytest.mark.slow
@pytest.mark.parametrize(("coupling", "least", "most"), [(0.0, 0.0, 0.05), (0.97, 0.75, 1.0)])
def test_level_and_power_of_five_seeds_in_many_worlds_at_once(coupling: float, least: float, most: float) -> None:
    """Independent onsets are rejected as often as they may, whatever trends all seeds share; coupled ones are found."""
    random = np.random.default_rng(21)
    worlds, x, orders = 2000, np.log1p(SIXTY), all_orders(5)
    own, other = random.standard_normal((2, worlds, 5))
    other = coupling * own + np.sqrt(1 - coupling**2) * other
    curves = [
        sign * sigmoid(x, 5 + late[..., None], 0.6) + drift(random, worlds, 5, len(x), size=0.02)
        for sign, late in ((1, own), (-1, other))
    ]
    c, b = (association.ranks(late.T) for late in (own, other))
    apart = [matrices.between(values) for values in curves]
    for name, statistics in {
        "onset": np.einsum("sw,osw->wo", c, b[orders]),
        "trajectory": association.swapped(association.likeness(*curves), orders),
        "trajectory distance": matrices.statistics(*apart, orders),
    }.items():
        rate = np.mean(permutations.p_values(statistics) <= 0.05)
        error = np.sqrt(0.25 / worlds)
        assert least - 4 * error < rate < most + 4 * error < 1.05 and error < 0.012, name


@pytest.mark.slow
def test_partial_tests_and_leads_hold_their_level() -> None:
    """A cause that both follow is held fixed; means over pairs are known for what they are."""
    random = np.random.default_rng(22)
    orders, worlds = all_orders(6), 400
    rejected = dict.fromkeys(("onset given loss", "matrix given loss", "lead"), 0)
    for _ in range(worlds):
        cause, own, other = random.standard_normal((3, 6, 1))
        u, v, w = (matrices.between(random.standard_normal((6, 2))) for _ in range(3))
        pairs = (own + own.T) / 2
        mean = (pairs.sum(axis=1, keepdims=True) - own) / 5
        for found in (
            association.onset_given(cause + 0.7 * own, cause + 0.7 * other, cause, orders, random),
            matrices.regression(u + w, v + w, [w], orders, random),
            population.lead(mean, 0.7 * other, shared=True, count=9, random=random),
        ):
            rejected[found.test] += found.p <= 0.05
    error = np.sqrt(0.05 * 0.95 / worlds)
    assert max(rejected.values()) / worlds < 0.06 + 4 * error and error < 0.011, rejected
