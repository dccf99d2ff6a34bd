"""Means over pairs: the field's analysis of variance, planted worlds, and what is known of too few units."""

import numpy as np
import pytest
from scipy import stats
from simulated import symmetric

from landscape.profile.units import mean_over_units


def of_matrix(square: np.ndarray, error: float = 0.0) -> tuple[float, float, float]:
    a, b = np.triu_indices(len(square), 1)
    return mean_over_units(square[a, b], np.full(len(a), error), a, b)


def additive(seeds: int, random: np.random.Generator) -> np.ndarray:
    own = random.standard_normal(seeds)
    return symmetric(1 + own[:, None] + own + 0.3 * random.standard_normal((seeds, seeds)))


def test_all_pairs_have_the_analysis_of_variance_of_diallel_crosses() -> None:
    """Griffing's (1956) general and specific effects, by their sums of squares; 4 Var(u) / n + Var(e) / pairs."""
    n, error = 9, 0.07
    square = additive(n, np.random.default_rng(0))
    values = square[np.triu_indices(n, 1)]
    mean, pairs = values.mean(), len(values)
    rows = square.sum(axis=1)
    general = (rows - (n - 1) * mean) / (n - 2)
    own = (n - 2) * (general**2).sum() / (n - 1)
    rest = ((values - mean) ** 2).sum() - (n - 1) * own
    rest /= pairs - n
    variance = 4 / n * (own - rest) / (n - 2) + rest / pairs
    standard, quantile = np.sqrt(variance + error**2), stats.t.ppf(0.975, n - 1)
    tail = stats.skew(general, bias=False) * standard * (1 + 2 * quantile**2) / (6 * np.sqrt(n))
    found = of_matrix(square, error)
    want = mean, mean - quantile * standard + min(tail, 0), mean + quantile * standard + max(tail, 0)
    assert found == pytest.approx(want, rel=1e-9) and abs(tail) > 0.01


def test_pairs_of_units_without_effects_are_independent() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        square = symmetric(random.standard_normal((6, 6)))
        values = square[np.triu_indices(6, 1)]
        narrow = stats.t.interval(0.95, 14, values.mean(), stats.sem(values))
        found = of_matrix(square)
        assert found[2] - found[1] >= (narrow[1] - narrow[0]) * (1 - 1e-9)
        if found[2] - found[1] < 1.0001 * (narrow[1] - narrow[0]):
            assert found[1:] == pytest.approx(narrow)
            return
    pytest.fail("in none of twenty worlds did the units bring nothing")


def test_pairs_of_branches_of_one_seed_err_as_seeds_do() -> None:
    """One pair for each seed: the mean of as many numbers; further equal pairs add nothing."""
    values = np.array([0.574, 0.0, 0.21, 0.33, 0.49, 0.12])
    for times in (1, 3):
        seed = np.repeat(np.arange(6), times)
        mean, low, high = mean_over_units(np.repeat(values, times), np.zeros(6 * times), seed, seed)
        half, tail = stats.t.ppf(0.975, 5) * stats.sem(values), stats.skew(values, bias=False)
        tail *= stats.sem(values) * (1 + 2 * stats.t.ppf(0.975, 5) ** 2) / (6 * np.sqrt(6))
        assert (mean, low, high) == pytest.approx((values.mean(), values.mean() - half, values.mean() + half + tail))


def test_pairs_that_all_share_a_seed_err_about_as_one_pair_does() -> None:
    values = np.array([0.2, 0.5, 0.3, 0.45, 0.38])
    mean, low, high = mean_over_units(values, np.zeros(5), np.zeros(5, int), np.arange(1, 6))
    assert high - low >= 2 * stats.t.ppf(0.975, 5) * values.std(ddof=1) and mean == pytest.approx(values.mean())


def test_a_missing_pair_takes_no_error_of_the_seeds_away() -> None:
    random = np.random.default_rng(2)
    widths = []
    for _ in range(200):
        square = additive(6, random)
        a, b = np.triu_indices(6, 1)
        kept = np.arange(15) != random.integers(15)
        every, less = (mean_over_units(square[a, b][k], np.zeros(k.sum()), a[k], b[k]) for k in (kept | True, kept))
        widths.append((less[2] - less[1]) / (every[2] - every[1]))
    assert 0.8 < np.median(widths) < 1.25 and np.quantile(widths, 0.05) > 0.6


def test_names_of_units_and_the_order_of_pairs_do_not_matter() -> None:
    square = additive(7, np.random.default_rng(3))
    a, b = np.triu_indices(7, 1)
    order = np.random.default_rng(4).permutation(21)
    other = mean_over_units(square[a, b][order], np.zeros(21), 3 * b[order] + 5, 3 * a[order] + 5)
    assert other == pytest.approx(of_matrix(square))


def test_few_units_have_no_interval_and_one_pair_that_of_its_examples() -> None:
    for seeds in (3, 4):
        mean, low, high = of_matrix(additive(seeds, np.random.default_rng(5)))
        assert np.isfinite(mean) and np.isnan([low, high]).all()
    pair = mean_over_units(np.array([0.4]), np.array([0.1]), np.array([3]), np.array([8]))
    assert pair == pytest.approx((0.4, 0.4 - 0.195996, 0.4 + 0.195996), abs=1e-5)
    one = mean_over_units(np.array([0.4, 0.6]), np.array([0.1, 0.2]), np.zeros(2, int), np.zeros(2, int))
    assert one == pytest.approx((0.5, 0.5 - 1.959964 * 0.15, 0.5 + 1.959964 * 0.15), abs=1e-6)


def test_equal_pairs_have_the_error_of_their_examples() -> None:
    found = of_matrix(np.full((6, 6), 0.37), 0.1)
    half = stats.t.ppf(0.975, 14) * 0.1
    assert found == pytest.approx((0.37, 0.37 - half, 0.37 + half))


@pytest.mark.parametrize(("kind", "true"), [("additive", 1.0), ("skewed", 3.0), ("independent", 1.0)])
def test_the_interval_covers(kind: str, true: float) -> None:
    """Of seven seeds in 400 worlds; skewed seeds, exponential ones, are the hardest of the three."""
    random, hits = np.random.default_rng(6), 0
    for _ in range(400):
        own = {"additive": random.standard_normal(7), "skewed": random.exponential(size=7)}.get(kind, np.zeros(7))
        _, low, high = of_matrix(symmetric(1 + own[:, None] + own + 0.3 * random.standard_normal((7, 7))))
        hits += low <= true <= high
    error = np.sqrt(0.95 * 0.05 / 400)
    assert 0.92 - 2.5 * error < hits / 400 and error < 0.012


def test_a_pair_within_a_unit_holds_it_twice() -> None:
    """Sums of effects of units have no residual, also where both ends belong to one unit."""
    own = np.array([0.1, 0.9, -0.4, 0.3, 0.7])
    a, b = np.array([[0, 0, 1, 2, 3, 4, 0, 1, 2], [0, 1, 1, 3, 4, 2, 3, 4, 2]])
    values = own[a] + own[b]
    held = np.zeros((9, 5))
    for pair, ends in enumerate(zip(a, b, strict=True)):
        for end in ends:
            held[pair, end] += 1
    share = held.mean(axis=0)
    units = ((values - values.mean()) ** 2).sum() / ((held - share) ** 2).sum()
    half = stats.t.ppf(0.975, 4) * np.sqrt(units * share @ share)
    mean, low, high = mean_over_units(values, np.zeros(9), a, b)
    assert mean == pytest.approx(values.mean())
    assert min(mean - low, high - mean) == pytest.approx(half, rel=1e-6)
