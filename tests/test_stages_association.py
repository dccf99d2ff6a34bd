"""Tests of association: null worlds, coupled worlds, and the usual mistakes seen failing."""

from itertools import permutations as every_order
from itertools import product
from math import factorial

import numpy as np
import pytest
from scipy import stats
from worlds import SIXTY, dated, drift, onsets, sigmoid

from landscape.stages import association, matrices, permutations, population
from landscape.stages.association import Association

X = np.log1p(SIXTY)
LEVEL, MOST, LEAST = 0.05, 0.07, 0.75


def rejections(p: list[float]) -> float:
    return float(np.mean(np.array(p) <= LEVEL))


def apart(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


def one_world(random: np.random.Generator, seeds: int, coupling: float) -> dict[str, Association]:
    """Every test on one world, in which behaviour goes with connectivity as far as ``coupling`` says."""
    orders = permutations.orders(seeds, 499, random)
    true = onsets(random, seeds, coupling)
    c, b = (dated(random, at) for at in true)
    near = 5 + true[0] - true[0].mean(), 5.5 + true[1] - true[1].mean()
    x, y = (
        sign * sigmoid(X, at[:, None], 0.6) + drift(random, seeds, len(X), 0.02)
        for sign, at in zip((1, -1), near, strict=True)
    )
    affinity = association.likeness(x, y)
    u, v, w = random.standard_normal((3, seeds, 2))
    v = coupling * u + np.sqrt(1 - coupling**2) * v
    shift = random.standard_normal((seeds, 1))
    loss = shift + 0.05 * random.standard_normal((seeds, 50))
    counts = association.coincidences([at[None] for at in c], [at[None] for at in b - b.mean() + c.mean()], 0.4, 0.2)
    anywhere = random.uniform(0, 12, (2, 1)) + 0.3 * random.standard_normal((2, seeds))
    return {
        "onset": association.onset(c, b, orders, random),
        "onset given loss": association.onset_given(c + shift, b + shift, loss, orders, random),
        "trajectory": association.trajectory(affinity, orders, random),
        "match": association.match(affinity, orders),
        "trajectory distance": matrices.mantel(matrices.between(x), matrices.between(y), orders, random),
        "precursor": association.precursor(counts, np.ones(seeds, int), orders, random),
        "matrix": matrices.mantel(apart(u), apart(v), orders, random),
        "matrix given loss": matrices.regression(apart(u) + apart(w), apart(v) + apart(w), [apart(w)], orders, random),
        "population precursor": population.precursor(
            list(anywhere[0][:, None] % 12), list(anywhere[1][:, None] % 12),
            window=0.4, spacing=0.2, ends=(0.0, 12.0), random=random,
        ),
    }  # fmt: skip


def many(seeds: int, coupling: float, runs: int) -> dict[str, list[Association]]:
    random = np.random.default_rng([seeds, int(100 * coupling)])
    found = [one_world(random, seeds, coupling) for _ in range(runs)]
    return {name: [world[name] for world in found] for name in found[0]}


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "runs"), [(5, 1000), (10, 1500)])
def test_null_worlds_are_rejected_no_more_often_than_they_may(seeds: int, runs: int) -> None:
    """Independent trends: rejections at 0.05 at most 0.07; the error of so many worlds is below 0.01."""
    for name, found in many(seeds, 0.0, runs).items():
        assert rejections([one.p for one in found]) <= MOST, name
        assert all(one.p >= one.p_floor - 1e-12 for one in found), name


def test_coupled_worlds_are_found() -> None:
    """Five seeds: power of at least 0.75 for onsets and for swapped seeds, and more than chance for the others."""
    found = many(5, 0.97, 200)
    power = {name: rejections([one.p for one in tests]) for name, tests in found.items()}
    assert power["onset"] >= LEAST and power["trajectory"] >= LEAST and power["matrix"] >= LEAST
    assert min(power[name] for name in power if name != "population precursor" and name != "precursor") >= 0.5
    rho = [one.effect for one in found["onset"]]
    assert 0.7 < np.mean(rho) < 1 and np.mean([one.low <= one.effect <= one.high for one in found["onset"]]) > 0.95


def test_pairs_taken_as_independent_fail_where_seeds_are_permuted() -> None:
    """A test of the tests: barriers and distances that each depend on their seeds, and not on each other."""
    random = np.random.default_rng(4)
    upper = np.triu_indices(8, 1)
    orders = permutations.orders(8, 499, random)
    naive, right = [], []
    for _ in range(1000):
        a, b = (values[:, None] + values[None] for values in np.abs(random.standard_normal((2, 8))))
        naive.append(stats.spearmanr(a[upper], b[upper], alternative="greater").pvalue)
        right.append(matrices.mantel(a, b, orders, random).p)
    assert rejections(naive) > 0.12
    assert rejections(right) <= MOST


def test_what_is_not_offered_fails_on_trends() -> None:
    """Why there is no circular shift and no correlation over checkpoints: both take two trends for a coupling."""
    random = np.random.default_rng(5)
    shifted, plain = [], []
    for _ in range(150):
        x, y = (sigmoid(X, random.uniform(3, 9), 0.6) + drift(random, 1, len(X), 0.05)[0] for _ in range(2))
        seen = abs(np.corrcoef(x, y)[0, 1])
        turns = [abs(np.corrcoef(x, np.roll(y, k))[0, 1]) for k in range(1, len(X))]
        shifted.append(np.mean([seen, *turns] >= np.float64(seen)))
        plain.append(stats.pearsonr(x, y).pvalue)
    assert rejections(shifted) > 0.2 and rejections(plain) > 0.9


def test_onset_without_doubt_is_spearmans_and_its_exact_test() -> None:
    random = np.random.default_rng(6)
    c, b = random.standard_normal((2, 6))
    b = b + c
    found = association.onset(c[:, None], b[:, None], permutations.orders(6, 9, random), random)
    assert found.effect == pytest.approx(stats.spearmanr(c, b).statistic)
    every = [stats.spearmanr(c, b[list(order)]).statistic for order in every_order(range(6))]
    assert found.p == pytest.approx(np.mean(np.array(every) >= every[0] - 1e-12))
    assert found.p_floor == pytest.approx(1 / factorial(6))


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


def test_doubt_about_timing_pulls_the_effect_to_zero() -> None:
    random = np.random.default_rng(8)
    true = np.arange(7.0)
    orders = permutations.orders(7, 9, random)
    sure, unsure = (
        association.onset(dated(random, true, e, 400), dated(random, true, e, 400), orders, random) for e in (0.01, 3.0)
    )
    assert sure.effect > 0.999 and 0.1 < unsure.effect < 0.7
    assert unsure.high - unsure.low > sure.high - sure.low


def test_a_shared_cause_goes_when_it_is_held_fixed() -> None:
    random = np.random.default_rng(9)
    cause = random.standard_normal((10, 1))
    c, b = (cause + 0.3 * random.standard_normal((10, 1)) + 0.02 * random.standard_normal((10, 40)) for _ in range(2))
    orders = permutations.orders(10, 999, random)
    assert association.onset(c, b, orders, random).p < 0.01
    assert association.onset_given(c, b, cause.repeat(40, axis=1), orders, random).p > 0.05
    # Without doubt it is the textbook's partial correlation.
    one, two, three = c[:, :1], b[:, :1], cause
    r = np.corrcoef(np.column_stack([one, two, three]).T)
    partial = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert association.onset_given(one, two, three, orders, random).effect == pytest.approx(partial)


def test_likeness_is_pearsons_with_the_sign_of_the_means() -> None:
    random = np.random.default_rng(10)
    x, y = random.standard_normal((2, 4, 30)) + np.linspace(0, 3, 30) * np.array([1, -1])[:, None, None]
    found = association.likeness(x, y)
    want = [[-np.corrcoef(a, b)[0, 1] for b in y] for a in x]
    np.testing.assert_allclose(found, want, atol=1e-12)
    orders = permutations.orders(4, 9, random)
    sums = association.swapped(found, orders)
    np.testing.assert_allclose(sums, [sum(want[i][k] for i, k in enumerate(order)) for order in orders])


def test_a_perfect_match_of_few_seeds_says_more_than_its_swaps() -> None:
    """Three seeds: p = 1/27 where swaps cannot go below 1/6; one seed that goes better with another's is no match."""
    random = np.random.default_rng(0)
    orders = permutations.orders(3, 9, random)
    best = np.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5], [0.2, 0.1, 0.7]])
    found = association.match(best, orders)
    assert (found.p, found.p_floor, found.effect) == (1 / 27, 1 / 27, 1)
    assert association.trajectory(best, orders, random).p == pytest.approx(1 / 6)
    other = best.copy()
    other[0, 1] = 0.85  # behaviour 1 goes best with connectivity 0
    assert association.match(other, orders).p >= 1 / 6 and association.match(other, orders).effect == pytest.approx(
        2 / 3
    )
    other.T[0, 1] = 0.85  # the other way round it may
    sideways = best.copy()
    sideways[1, 2] = 0.6
    assert association.match(sideways, orders).p == 1 / 27


@pytest.mark.slow
def test_perfect_matches_are_as_rare_as_is_said() -> None:
    """Independent behaviours match their own of three fixed connectivities in at most one world of 27."""
    random = np.random.default_rng(12)
    orders = permutations.orders(3, 9, random)
    x = random.standard_normal((3, 20))
    matched = [
        association.match(association.likeness(x, random.standard_normal((3, 20))), orders).p == 1 / 27
        for _ in range(3000)
    ]
    error = np.sqrt((1 / 27) * (26 / 27) / 3000)
    assert np.mean(matched) < 1 / 27 + 4 * error and error < 0.004


def test_coincidences_by_hand() -> None:
    """Seed 0 has two events and seed 1 one; windows reach back by 1 and forward by 0.5."""
    before = [np.array([[1.0], [6.0]]), np.array([[2.4]])]
    after = [np.array([[1.9], [5.6], [8.0]]), np.array([[3.5]])]
    found = association.coincidences(before, after, window=1.0, spacing=0.5)
    np.testing.assert_array_equal(found, [[2, 0], [1, 0]])
    half = [np.array([[1.0, 9.0]]), np.empty((0, 1))]
    np.testing.assert_array_equal(association.coincidences(half, [after[0][:1].repeat(2, axis=1), after[1]], 1.0, 0.5),
                                  [[0.5, 0], [0, 0]])  # fmt: skip


@pytest.mark.parametrize(("shared", "seeds"), [(False, 10), (True, 8), pytest.param(True, 10, marks=pytest.mark.slow)])
def test_lead_holds_its_level_also_where_seeds_share_their_pairs(shared: bool, seeds: int) -> None:
    """Onsets of equal mean, of which one is the mean over pairs of what both seeds bring."""
    random = np.random.default_rng(seeds)
    p, plain = [], []
    for _ in range(1000):
        own = random.standard_normal(seeds)
        pairs = (own[:, None] + own[None]) / 2 + 0.2 * random.standard_normal((seeds, seeds))
        pairs = np.where(np.eye(seeds) > 0, np.nan, (pairs + pairs.T) / 2)
        c = 6 + (np.nanmean(pairs, axis=1) if shared else own)[:, None]
        b = 6 + 0.7 * random.standard_normal((seeds, 1))
        p.append(population.lead(c, b, shared=shared, count=499, random=random).p)
        plain.append(population.lead(c, b, shared=False, count=499, random=random).p)
    assert rejections(p) <= MOST
    if shared:
        assert rejections(plain) > 0.09


def test_lead_says_how_much_later_and_never_less_than_its_floor() -> None:
    random = np.random.default_rng(1)
    c = random.standard_normal((6, 30)) * 0.05 + 4
    found = population.lead(c, c + 0.7, shared=False, count=99, random=random)
    assert found.effect == pytest.approx(0.7) and found.low == pytest.approx(0.7) == found.high
    assert found.p == found.p_floor == 2 / 2**6
    back = population.lead(c + 0.7, c, shared=False, count=99, random=random)
    assert (back.effect, back.p) == (pytest.approx(-0.7), 2 / 2**6)
    assert found.hypothesis == association.POPULATION


def test_floors_of_small_designs() -> None:
    random = np.random.default_rng(2)
    for seeds in (3, 4, 5):
        true = np.arange(float(seeds))[:, None]
        found = association.onset(true, true, permutations.orders(seeds, 9, random), random)
        assert found.p == found.p_floor == 1 / factorial(seeds)
    sampled = association.onset(
        np.arange(9.0)[:, None], np.arange(9.0)[:, None], permutations.orders(9, 99, random), random
    )
    assert sampled.p == sampled.p_floor == 1 / 100


def test_resamples_of_too_few_seeds_say_nothing() -> None:
    """Two seeds correlate perfectly or not at all: intervals are of resamples with three seeds or more."""
    random = np.random.default_rng(3)
    assert association.distinct(np.array([[0, 1, 2], [0, 1, 0], [3, 1, 2], [3, 2, 0]])).tolist() == [2, 2, 2]
    kept = association.enough(np.array([0.3, 1.0, -1.0]), np.array([4, 2, 3]), 5)
    np.testing.assert_array_equal(kept, [0.3, np.nan, -1.0])
    assert np.isnan(association.enough(np.ones(2), np.full(2, 3), 3)).all()
    c, b = np.arange(5.0), np.array([2.0, 0.5, 4.0, 1.0, 3.0])
    every = [np.array(draw) for draw in product(range(5), repeat=5) if len(set(draw)) > 2]
    want = np.quantile([stats.spearmanr(c[draw], b[draw]).statistic for draw in every], [0.025, 0.975])
    found = association.onset(*(at[:, None].repeat(4000, axis=1) for at in (c, b)), permutations.orders(5, 9, random),
                              random)  # fmt: skip
    assert [found.low, found.high] == pytest.approx(want, abs=0.05) and found.low > -0.97
    c = c[:, None] + 0.001 * random.standard_normal((5, 2000))
    given = random.standard_normal((5, 1)) + np.zeros((5, 2000))
    other = random.standard_normal((5, 1)) + np.zeros((5, 2000))
    partial = association.onset_given(c, other, given, permutations.orders(5, 9, random), random)
    assert -1 <= partial.low <= partial.effect <= partial.high <= 1
    three = permutations.orders(3, 9, random)
    assert np.isnan(association.onset(c[:3], c[:3], three, random).low)
    assert np.isnan(association.trajectory(np.eye(3), three, random).low)
    assert np.isnan(matrices.mantel(apart(c[:3, :2]), apart(c[:3, :2]), three, random).low)


@pytest.mark.parametrize("coupling", [0.0, 0.9])
def test_intervals_of_the_rank_correlation_cover_that_of_the_world(coupling: float) -> None:
    """Ten seeds: 95 % intervals cover Spearman's rho of the normal world in 85 % of the worlds or more."""
    rho = 6 / np.pi * np.arcsin(coupling / 2)
    random = np.random.default_rng(21)
    orders = permutations.orders(10, 99, random)
    inside = []
    for _ in range(300):
        c, b = (dated(random, at, 0.02) for at in onsets(random, 10, coupling))
        found = association.onset(c, b, orders, random)
        inside.append(found.low <= rho <= found.high)
    assert np.mean(inside) >= 0.85


def test_no_correlation_is_above_one() -> None:
    random = np.random.default_rng(5)
    points = random.standard_normal((6, 2))
    c = random.standard_normal((6, 1)) + np.zeros((6, 50))
    orders = permutations.orders(6, 9, random)
    for found in (
        association.onset(c, c, orders, random),
        association.onset_given(c, c, random.standard_normal((6, 50)), orders, random),
        matrices.mantel(apart(points), apart(points), orders, random),
    ):
        assert -1 <= found.low <= found.effect <= found.high <= 1, found.test
