"""Which t need all examples: closed forms, and an exhaustive search."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from landscape.profile import paired
from landscape.profile.allocation import WIDER, allocate

COUNTS = (64, 96, 144, 216, 324, 486, 500)


def pilot_with(covariance: np.ndarray, seed: int = 0) -> np.ndarray:
    """A pilot with exactly this covariance."""
    drawn = np.random.default_rng(seed).standard_normal((len(covariance), COUNTS[0]))
    white = np.linalg.solve(np.linalg.cholesky(np.cov(drawn)), drawn - drawn.mean(axis=1, keepdims=True))
    return np.asarray(np.linalg.cholesky(covariance) @ white)


def test_what_nothing_depends_on_gets_a_pilot_alone() -> None:
    free = np.array([False, False, False, True])
    found = allocate(pilot_with(np.eye(4)), np.array([[0.0, 1, 0, 0.3]]), free, COUNTS)
    assert found.whole.tolist() == [False, True, False, True] and found.few == 64


def test_independent_parts_that_all_count_get_nearly_all_examples() -> None:
    found = allocate(pilot_with(np.eye(3)), np.eye(3)[:2], np.array([False, False, True]), COUNTS)
    assert found.few == next(count for count in COUNTS if count >= 500 / WIDER**2 * (1 + 2 / 64))


@pytest.mark.parametrize("share", [0.9, 0.91588, 0.97, 0.99])
def test_the_rest_of_a_regression_is_known_as_well_as_it_has_to_be(share: float) -> None:
    """One part whole, the other its multiple with a rest: ``1.21 / N = share / N + (1 - share) (1 + 1 / 64) / n``."""
    coefficient = share**0.5
    covariance = np.array([[1.0, coefficient], [coefficient, 1.0]])
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = allocate(pilot_with(covariance), rows, np.array([False, False]), COUNTS)
    needed = 500 * (1 - share) * (1 + 1 / 64) / (WIDER**2 - share)
    assert found.whole.sum() == 1 and found.few == next(count for count in COUNTS if count >= needed)


@pytest.mark.parametrize("seed", range(8))
def test_no_choice_is_much_cheaper(seed: int) -> None:
    """Against all subsets and counts, with the errors of a regression worked out from covariances alone."""
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((5, 3))
    covariance = mixing @ mixing.T + 0.05 * np.eye(5)
    rows = np.vstack([np.eye(5)[:3], random.uniform(0, 0.4, 5)])
    free = np.arange(5) == 4
    parts = pilot_with(covariance, seed)
    found = allocate(parts, rows, free, COUNTS)

    def variance(whole: np.ndarray, few: int) -> np.ndarray:
        weights = rows.copy()
        coefficients = np.linalg.lstsq(parts[whole].T, parts[~whole].T, rcond=None)[0].T
        rest = np.cov(parts[~whole] - coefficients @ parts[whole]).reshape((~whole).sum(), -1) * (1 + whole.sum() / 64)
        known = weights[:, whole] + weights[:, ~whole] @ coefficients
        return np.array([
            k @ covariance[np.ix_(whole, whole)] @ k / 500 + r @ rest @ r / few
            for k, r in zip(known, weights[:, ~whole], strict=True)
        ])

    def cost(whole: np.ndarray, few: int) -> int:
        return int((whole & ~free).sum() * 500 + (~whole).sum() * few)

    limit = WIDER**2 * np.array([row @ covariance @ row for row in rows]) / 500
    costs = [4 * 500]
    for chosen in product([False, True], repeat=4):
        whole = np.array([*chosen, True])
        if (~whole).sum() > 0:
            costs += [cost(whole, few) for few in COUNTS if (variance(whole, few) <= limit * (1 + 1e-9)).all()]
    if not found.whole.all():
        assert (variance(found.whole, found.few) <= limit * (1 + 1e-9)).all()
    assert cost(found.whole, found.few) <= 1.5 * min(costs)


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
        found = paired.band(t, losses)
        errors.append(found.rise_error[2])
        means.append(found.rise[2])
    expected = (0.1**2 / 64 + (0.7**2 + 0.6**2) / 1000) ** 0.5
    assert np.mean(errors) == pytest.approx(expected, rel=0.05)
    assert np.std(means) == pytest.approx(expected, rel=4 / 300**0.5)
    assert np.mean(means) == pytest.approx(0.4, abs=4 * expected / 150**0.5)


def test_few_examples_allow_few_regressors_the_nearest() -> None:
    """Of twenty-four examples two, beside the difference of the ends: those at either side."""
    errors, t = [], np.linspace(0, 1, 13)
    for seed in range(60):
        own = np.random.default_rng(seed).normal(size=(13, 3000))
        own[6] = 0.7 * own[5] + 0.6 * own[7] + 0.1 * own[6]
        own[6, 24:] = np.nan
        own[[0, -1]] = 0
        errors.append(paired.band(t, own).rise_error[6])
    assert np.mean(errors) == pytest.approx((0.1**2 / 24 + (0.7**2 + 0.6**2) / 3000) ** 0.5, rel=0.08)
