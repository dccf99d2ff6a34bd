"""Which t need all examples: closed forms, and an exhaustive search."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose

from landscape.profile import paired
from landscape.profile.allocation import WIDER, allocate, allowed

COUNTS = (64, 96, 144, 216, 324, 486, 500)


def pilot_with(covariance: np.ndarray, seed: int = 0) -> np.ndarray:
    """A pilot with exactly this covariance."""
    drawn = np.random.default_rng(seed).standard_normal((len(covariance), COUNTS[0]))
    white = np.linalg.solve(np.linalg.cholesky(np.cov(drawn)), drawn - drawn.mean(axis=1, keepdims=True))
    return np.asarray(np.linalg.cholesky(covariance) @ white)


def nearly_all(covariance: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Standard errors that are larger by ``WIDER`` than with all examples of everything."""
    return np.asarray(WIDER * np.sqrt(np.einsum("rp,pq,rq->r", rows, covariance, rows) / COUNTS[-1]))


def test_what_nothing_depends_on_gets_a_pilot_alone() -> None:
    free, rows = np.array([False, False, False, True]), np.array([[0.0, 1, 0, 0.3]])
    found = allocate(np.eye(4), rows, nearly_all(np.eye(4), rows), free, COUNTS)
    assert found.whole == (False, True, False, True) and found.few == 64


def test_independent_parts_that_all_count_get_nearly_all_examples() -> None:
    rows = np.eye(3)[:2]
    found = allocate(np.eye(3), rows, nearly_all(np.eye(3), rows), np.array([False, False, True]), COUNTS)
    needed = 500 / WIDER**2 * 63 * 62 / (62 * 61)
    assert found.few == next(count for count in COUNTS if count >= needed)


@pytest.mark.parametrize("share", [0.9, 0.91588, 0.97, 0.99])
def test_the_rest_of_a_regression_is_known_as_well_as_it_has_to_be(share: float) -> None:
    """One part whole, the other its multiple with a rest: ``W^2 / N = share / N + (1 - share) f / n``."""
    coefficient = share**0.5
    covariance = np.array([[1.0, coefficient], [coefficient, 1.0]])
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = allocate(covariance, rows, nearly_all(covariance, rows), np.array([False, False]), COUNTS)
    needed = 500 * (1 - share) * 63 * 62 / (62 * 61) / (WIDER**2 - share)
    assert sum(found.whole) == 1 and found.few == next(count for count in COUNTS if count >= needed)


@pytest.mark.parametrize("seed", range(8))
def test_hardly_any_choice_is_cheaper(seed: int) -> None:
    """Against all subsets and counts, with the errors of a regression worked out from covariances alone."""
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((5, 3))
    covariance = mixing @ mixing.T + 0.05 * np.eye(5)
    rows = np.vstack([np.eye(5)[:3], random.uniform(0, 0.4, 5)])
    free = np.arange(5) == 4
    parts, errors = pilot_with(covariance, seed), nearly_all(covariance, rows)
    found = allocate(np.cov(parts), rows, errors, free, COUNTS)

    def variance(whole: np.ndarray, few: int) -> np.ndarray:
        weights, left = rows.copy(), 62 - whole.sum()
        coefficients = np.linalg.lstsq(parts[whole].T, parts[~whole].T, rcond=None)[0].T
        rest = np.cov(parts[~whole] - coefficients @ parts[whole]).reshape((~whole).sum(), -1)
        known = weights[:, whole] + weights[:, ~whole] @ coefficients
        return np.array([
            k @ covariance[np.ix_(whole, whole)] @ k / 500 + 63 * 62 / (left + 1) / left * (r @ rest @ r) / few
            for k, r in zip(known, weights[:, ~whole], strict=True)
        ])

    def cost(whole: np.ndarray, few: int) -> int:
        return int((whole & ~free).sum() * 500 + (~whole).sum() * few)

    limit = errors**2 * (1 + 1e-9)
    costs = [4 * 500]
    for chosen in product([False, True], repeat=4):
        whole = np.array([*chosen, True])
        if (~whole).sum() > 0:
            costs += [cost(whole, few) for few in COUNTS if (variance(whole, few) <= limit).all()]
    if not all(found.whole):
        assert (variance(np.array(found.whole), found.few) <= limit).all()
    assert cost(np.array(found.whole), found.few) <= 1.1 * min(costs)


def test_one_that_was_chosen_first_is_exchanged_for_a_better_one() -> None:
    """The mean of two helps most alone; the two themselves tell all, which the mean with one of them does, too."""
    left, right, own = np.random.default_rng(0).standard_normal((3, COUNTS[0]))
    parts = np.stack([left, right, (left + right) / 2 + 0.4 * own])
    rows = np.array([[1.0, 0, 0], [0, 1.0, 0], [0.5, 0.5, 0]])
    errors = nearly_all(np.cov(parts), rows)
    found = allocate(np.cov(parts), rows, errors, np.zeros(3, dtype=bool), COUNTS)
    assert found.whole == (True, True, False) and found.few == 64


def test_a_mean_far_below_the_largest_may_have_a_large_error() -> None:
    """It may reach the upper end of the largest, as may one that is nearly as large, which is not known to be below."""
    means, errors, apart = np.array([1.0, 0.9, 0.4]), np.array([0.05, 0.04, 0.05]), np.array([0.0, 0.06, 0.05])
    found = allowed(means, errors, apart, 1.1)
    assert_allclose(found, [0.055, 0.055, (1 + 1.96 * 0.05 - 0.5) / 1.96 + 0.005], rtol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_no_upper_end_rises_by_more_than_is_allowed(seed: int) -> None:
    """Of means in general position, with the errors that are allowed; and no error has to be below that of all."""
    random = np.random.default_rng(seed)
    means, errors, apart = random.normal(size=20), random.uniform(0.1, 0.4, size=20), np.zeros(20)
    upper = means + 1.959964 * errors
    found = allowed(means, errors, apart, 1.2)
    assert (means + 1.959964 * found).max() == pytest.approx(upper.max() + 0.2 * 1.959964 * errors[upper.argmax()])
    assert (found > errors).all()


def test_a_rise_is_regressed_on_several_others() -> None:
    """What lies between two times depends on both; its error is that of the rest."""
    t, errors, means = np.array([0, 0.3, 0.5, 0.7, 1]), [], []
    for seed in range(150):
        random = np.random.default_rng(seed)
        left, right, own, end = random.normal(size=(4, 1000))
        between = 0.4 + 0.7 * left + 0.6 * right + 0.1 * own
        losses = np.stack([0 * left, 0.2 + left, between, 0.1 + right, 0 * left])
        losses += np.outer(t, end)
        losses[2, 64:] = np.nan
        found = paired.band(paired.components(t, losses))
        errors.append(found.rise_error[2])
        means.append(found.rise[2])
    expected = (0.1**2 / 64 + (0.7**2 + 0.6**2) / 1000) ** 0.5
    assert np.mean(errors) == pytest.approx(expected, rel=0.05)
    assert np.std(means) == pytest.approx(expected, rel=4 / 300**0.5)
    assert np.mean(means) == pytest.approx(0.4, abs=4 * expected / 150**0.5)


def test_few_examples_allow_few_regressors_the_nearest() -> None:
    """Of twenty examples four, beside the difference of the ends, which is zero: two at either side."""
    errors, t, n, p = [], np.linspace(0, 1, 13), 20, 4
    for seed in range(150):
        own = np.random.default_rng(seed).normal(size=(13, 3000))
        own[6] = 0.7 * own[5] + 0.6 * own[7] + 0.1 * own[6]
        own[6, n:] = np.nan
        own[[0, -1]] = 0
        errors.append(paired.band(paired.components(t, own)).rise_error[6] ** 2)
    assert np.mean(errors) == pytest.approx(0.1**2 / n * (n - 2) / (n - 2 - p) + (0.7**2 + 0.6**2) / 3000, rel=0.05)
