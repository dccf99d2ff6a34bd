"""Tests of association, against their definitions written naively over all orders and all resamples."""

from itertools import permutations as every_order
from itertools import product
from math import factorial

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from simulated import SIXTY, drift, sigmoid

from landscape.stages.association import by_seed, matrices, permutations, population


def all_orders(seeds: int) -> np.ndarray:
    return np.array(list(every_order(range(seeds))))


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Not a number where one of the two is constant."""
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) and np.ptp(y) else float("nan")


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    return pearson(stats.rankdata(x), stats.rankdata(y))


def bent(y: np.ndarray, x: np.ndarray, degree: int) -> np.ndarray:
    """Residuals of a polynomial fit of y over x."""
    return y - np.polyval(np.polyfit(x, y, degree), x)


def p_of(statistics: np.ndarray) -> float:
    return float(np.mean(statistics >= statistics[0] - 1e-9))


def test_onset_is_the_mean_of_spearmans_over_the_draws() -> None:
    """Its effect, its exact test over all permutations, and its smallest p value, which one permutation reaches."""
    random = np.random.default_rng(6)
    c = random.standard_normal((6, 3))
    b = c + random.standard_normal((6, 3))
    found = by_seed.onset(c, b, permutations.orders(6, 9, random))
    every = np.array([np.mean([spearman(c[:, k], b[order, k]) for k in range(3)]) for order in all_orders(6)])
    assert found.effect == pytest.approx(every[0]) and found.p == p_of(every) < 1
    assert found.hypothesis == by_seed.SEED
    one = by_seed.onset(c[:, :1], b[:, :1], permutations.orders(6, 9, random))
    assert one.p_floor == pytest.approx(1 / factorial(6))


def test_what_never_happens_is_last_and_ties_are_shared() -> None:
    at = np.array([[3.0, 3.0], [np.inf, 2.0], [5.0, np.inf], [np.inf, np.inf], [-np.inf, 9.0]])
    ranked = by_seed.ranks(at)
    want = np.column_stack([stats.rankdata([2, 4, 3, 4, 1]), stats.rankdata([2, 1, 9, 9, 3])])
    want = want - want.mean(axis=0)
    np.testing.assert_allclose(ranked, want / np.sqrt((want**2).sum(axis=0)))
    random = np.random.default_rng(0)
    level = np.full((4, 5), 2.0)
    same = by_seed.onset(level, at[:4, :1].repeat(5, axis=1), permutations.orders(4, 9, random))
    assert same.effect == 0 and same.p == 1 == same.p_floor


def test_ties_raise_the_floor_of_an_exact_test() -> None:
    """Seven seeds, two of which are alike and three others: 2! 3! of the 7! orders are the one that was seen."""
    random = np.random.default_rng(7)
    at = np.array([4.1, 2.3, 4.1, 6.7, 6.7, 1.9, 6.7])[:, None]
    found = by_seed.onset(at, at, permutations.orders(7, 9, random))
    assert found.p == found.p_floor == pytest.approx(12 / factorial(7), rel=1e-12)


def test_floors_of_small_designs() -> None:
    random = np.random.default_rng(2)
    for seeds in (3, 4, 5):
        true = np.arange(float(seeds))[:, None]
        found = by_seed.onset(true, true, permutations.orders(seeds, 9, random))
        assert found.p == found.p_floor == 1 / factorial(seeds)
    nine = np.arange(9.0)[:, None]
    sampled = by_seed.onset(nine, nine, permutations.orders(9, 99, random))
    assert sampled.p == sampled.p_floor == 1 / 100


def test_uncertain_dates_pull_the_effect_to_zero() -> None:
    random = np.random.default_rng(8)
    true = np.arange(6.0)[:, None]
    sure, unsure = (
        by_seed.onset(*(true + error * random.standard_normal((6, 400)) for _ in range(2)), all_orders(6))
        for error in (0.01, 2.5)
    )
    assert sure.effect > 0.999 and 0.1 < unsure.effect < 0.7
    assert unsure.high - unsure.low > sure.high - sure.low
    assert sure.low <= sure.effect <= sure.high


def test_onset_given_permutes_residuals_and_regresses_them_again() -> None:
    """Freedman and Lane, on the means over the draws and with a parabola of the third; exactly dated, nothing leaks."""
    random = np.random.default_rng(9)
    cause = random.standard_normal(6)
    c, b = (cause[:, None] + 0.7 * random.standard_normal((6, 4)) for _ in range(2))
    found = by_seed.onset_given(c, b, cause[:, None].repeat(4, axis=1), all_orders(6))
    x, y = (bent(at.mean(axis=1), cause, 2) for at in (c, b))
    every = np.array([pearson(bent(x[order], cause, 2), y) for order in all_orders(6)])
    np.testing.assert_allclose(found.statistics, every, atol=1e-10)
    assert found.effect == pytest.approx(every[0]) and found.p == p_of(every) and np.isnan(found.low)


def test_twelve_seeds_hold_a_cubic_of_the_loss_fixed() -> None:
    random = np.random.default_rng(27)
    cause = random.standard_normal(12)
    c, b = (cause**3 - cause + 0.1 * random.standard_normal(12) for _ in range(2))
    found = by_seed.onset_given(*(at[:, None] for at in (c, b, cause)), permutations.orders(12, 99, random))
    assert found.effect == pytest.approx(pearson(bent(c, cause, 3), bent(b, cause, 3)))
    z, half = np.arctanh(found.effect), 1.959964 / np.sqrt(12 - 3 - 3)
    assert (found.low, found.high) == pytest.approx((np.tanh(z - half), np.tanh(z + half)))


def test_errors_of_the_loss_leave_no_evidence() -> None:
    """Very many seeds: the partial correlation given a badly dated cause is its leak, which is subtracted."""
    random = np.random.default_rng(23)
    seeds, error = 40_000, 0.5
    cause = random.standard_normal((seeds, 1))
    c, b = cause + 0.6 * random.standard_normal((seeds, 1)), 0.8 * cause + 0.5 * random.standard_normal((seeds, 1))
    given = cause + error * random.standard_normal((seeds, 1)) + error * random.standard_normal((seeds, 300))
    order = random.permutation(seeds)
    found = by_seed.onset_given(c, b, given, np.stack([np.arange(seeds), order]))
    seen = pearson(bent(c[:, 0], given.mean(axis=1), 3), bent(b[:, 0], given.mean(axis=1), 3))
    own = 1 / (1 + error**2)  # of the variance of the dates
    with_c, with_b = np.sqrt(own) / np.sqrt(1.36), 0.8 * np.sqrt(own) / np.sqrt(0.64 + 0.25)
    leak = with_c * with_b * (1 - own) / own / np.sqrt((1 - with_c**2) * (1 - with_b**2))
    assert seen == pytest.approx(leak, abs=0.02) and leak > 0.2
    assert abs(found.effect) < 4 / np.sqrt(seeds) and found.statistics is not None
    assert found.statistics[0] == pytest.approx(seen) and found.statistics[1] == pytest.approx(leak, abs=0.03)
    assert found.p in (0.5, 1.0) and np.isnan(found.low)
    sharper = cause + 0.2 * random.standard_normal((seeds, 1)) + 0.2 * random.standard_normal((seeds, 300))
    sure = by_seed.onset_given(c, b, sharper, np.arange(seeds)[None])
    assert sure.low < sure.effect < sure.high


def test_likeness_is_pearsons_with_the_sign_of_the_means() -> None:
    random = np.random.default_rng(10)
    x, y = random.standard_normal((2, 4, 30)) + np.linspace(0, 3, 30) * np.array([1, -1])[:, None, None]
    found = by_seed.likeness(x, y)
    want = [[-np.corrcoef(a, b)[0, 1] for b in y] for a in x]
    np.testing.assert_allclose(found, want, atol=1e-12)
    orders = permutations.orders(4, 9, random)
    sums = by_seed.swapped(found, orders)
    np.testing.assert_allclose(sums, [sum(want[i][k] for i, k in enumerate(order)) for order in orders])


def test_a_trajectory_is_the_probability_that_own_curves_are_more_similar() -> None:
    """By hand over all pairs of different seeds, both ways, of doubly centred affinities; ties count half.

    There is no p value, and an interval from twenty seeds on.
    """
    affinity = np.random.default_rng(13).uniform(-1, 1, (20, 20)).round(1)

    def chance(kept: list[int]) -> float:
        part = affinity[np.ix_(kept, kept)]
        centred = np.array([[part[i, j] - part[i].mean() - part[:, j].mean() for j in range(len(kept))]
                            for i in range(len(kept))])  # fmt: skip
        gain = [
            (centred[i, i] - other).round(9)
            for i in range(len(kept)) for j in range(len(kept)) if i != j for other in (centred[i, j], centred[j, i])
        ]  # fmt: skip
        return float(np.mean([1.0 * (one > 0) + 0.5 * (one == 0) for one in gain]))

    few = by_seed.trajectory(affinity[:4, :4])
    assert few.effect == pytest.approx(chance([0, 1, 2, 3])) and np.isnan([few.p, few.low, few.high]).all()
    assert np.isnan(by_seed.trajectory(affinity[:19, :19]).low)
    found = by_seed.trajectory(affinity)
    without = np.array([chance([k for k in range(20) if k != i]) for i in range(20)])
    half = stats.t.ppf(0.975, 19) * np.sqrt(19 / 20 * ((without - without.mean()) ** 2).sum())
    assert (found.low, found.high) == pytest.approx((found.effect - half, found.effect + half))


def test_coincidences_by_hand() -> None:
    """Seed 0 has two events and seed 1 one; windows reach back by 1 and forward by 0.5."""
    before = [np.array([[1.0], [1.6], [6.0]]), np.array([[2.4]])]
    after = [np.array([[1.9], [5.6], [8.0]]), np.array([[3.5]])]
    found = by_seed.coincidences(before, after, window=1.0, spacing=0.5)
    np.testing.assert_array_equal(found, [[2, 0], [1, 0]])
    half = [np.array([[1.0, 9.0]]), np.empty((0, 1))]
    np.testing.assert_array_equal(by_seed.coincidences(half, [after[0][:1].repeat(2, axis=1), after[1]], 1.0, 0.5),
                                  [[0.5, 0], [0, 0]])  # fmt: skip


def test_a_precursor_is_the_share_of_own_events_less_that_of_other_seeds() -> None:
    counts = np.array([[2.0, 0, 1, 0], [1, 1, 0, 0.5], [0, 0, 3, 1], [1, 0, 2, 0]])
    found = by_seed.precursor(counts, np.array([3, 1, 4, 2]))
    assert found.effect == pytest.approx(6 / 10 - 6.5 / 3 / 10) and np.isnan([found.p, found.low]).all()
    alike = by_seed.precursor(np.ones((4, 4)), np.ones(4, int))
    assert alike.effect == 0


@pytest.mark.parametrize("shared", [False, True])
def test_lead_flips_the_signs_of_the_medians_of_seeds(shared: bool) -> None:
    """Where connectivity is a mean over pairs, its deviations from the mean of the seeds count twice, in each draw."""
    random = np.random.default_rng(14)
    c, b = np.exp(random.standard_normal((2, 5, 256)))
    found = population.lead(c, b + 0.4, shared=shared, gap=0.2, count=9, random=random)
    wide = [[2 * c[i, k] - c[:, k].mean() if shared else c[i, k] for k in range(256)] for i in range(5)]
    difference = b + 0.4 - np.array(wide)
    own = np.median(difference, axis=1)
    sums = np.array([abs(np.dot(signs, own)) for signs in product((1, -1), repeat=5)])
    assert found.effect == pytest.approx(own.mean()) and found.p == p_of(sums) and found.p_floor == 2 / 2**5
    low, high = stats.t.interval(0.95, 4, own.mean(), own.std(ddof=1) / np.sqrt(5))
    assert (found.low, found.high) == pytest.approx((low - 0.1, high + 0.1))


def test_lead_says_how_much_later_and_never_less_than_its_floor() -> None:
    random = np.random.default_rng(1)
    c = random.standard_normal((6, 30)) * 0.05 + 4
    found = population.lead(c, c + 0.7, shared=False, gap=0.1, count=99, random=random)
    assert found.effect == pytest.approx(0.7) and (found.low, found.high) == pytest.approx((0.65, 0.75))
    assert found.p == found.p_floor == 2 / 2**6
    back = population.lead(c + 0.7, c, shared=False, gap=0.1, count=99, random=random)
    assert (back.effect, back.p) == (pytest.approx(-0.7), 2 / 2**6)
    assert found.hypothesis == by_seed.POPULATION
    within = population.lead(c, c + 0.7, shared=False, gap=0.71, count=99, random=random)
    assert within.effect == pytest.approx(0.7) and np.isnan([within.p, within.low, within.high]).all()


def test_no_correlation_is_above_one() -> None:
    random = np.random.default_rng(5)
    apart = squareform(pdist(random.standard_normal((6, 2))))
    c = random.standard_normal((6, 1)) + np.zeros((6, 50))
    orders = permutations.orders(6, 9, random)
    for found in (
        by_seed.onset(c, c, orders),
        by_seed.onset_given(c, c, random.standard_normal((6, 50)), orders),
        matrices.mantel(apart, apart, orders),
    ):
        assert -1 <= found.effect <= 1 and not (found.low < -1 or found.high > 1), found.test


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
    c, b = (by_seed.ranks(late.T) for late in (own, other))
    for name, statistics in {
        "onset": np.einsum("sw,osw->wo", c, b[orders]),
        "curves": by_seed.swapped(by_seed.likeness(*curves), orders),
    }.items():
        rate = np.mean(permutations.p_values(statistics) <= 0.05)
        error = np.sqrt(0.25 / worlds)
        assert least - 4 * error < rate < most + 4 * error < 1.05 and error < 0.012, name


@pytest.mark.slow
def test_partial_tests_and_leads_hold_their_level() -> None:
    """A common cause is held fixed; means over pairs have their true variance."""
    random = np.random.default_rng(22)
    orders, worlds = all_orders(6), 400
    rejected = dict.fromkeys(("onset given loss", "matrix given loss", "lead"), 0)
    for _ in range(worlds):
        cause, own, other = random.standard_normal((3, 6, 1))
        pairs = (own + own.T) / 2
        mean = (pairs.sum(axis=1, keepdims=True) - own) / 5
        place, score = cause + 0.3 * own, cause + 0.3 * other
        dates = cause + 0.15 * random.standard_normal((6, 1)) + 0.15 * random.standard_normal((6, 40))
        for found in (
            by_seed.onset_given(cause + 0.3 * own, cause + 0.3 * other, dates, orders),
            matrices.given_loss(np.abs(place - place.T), score[:, 0], cause[:, 0], orders),
            population.lead(mean, 0.7 * other, shared=True, gap=0.0, count=9, random=random),
        ):
            rejected[found.test] += found.p <= 0.05
    error = np.sqrt(0.05 * 0.95 / worlds)
    assert max(rejected.values()) / worlds < 0.06 + 4 * error and error < 0.011, rejected
