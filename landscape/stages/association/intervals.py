"""95 % intervals of statistics over few seeds. Each has a minimal number of seeds, below which it does not cover."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize, stats

from landscape.shapes import Float, Int

COVERAGE = 0.95
TAIL = (1 - COVERAGE) / 2
MIN_SEEDS = 5
"""Seeds that an interval needs."""
MIN_SEEDS_RANKED = 6
"""Seeds that the interval of a rank correlation needs: with five seeds it covers 0.85 near a correlation of 1."""
MIN_SEEDS_PAIRED = 20
"""Seeds that the interval of a share of pairs of seeds needs, or of a correlation of pairs with the loss held fixed:
with ten seeds it covers 0.88."""
MIN_DEGREES = 3
"""Degrees of freedom that the interval of a partial correlation needs."""
NEAREST_ONE = 1 - 1e-7
Interval = tuple[float, float]
UNKNOWN: Interval = (np.nan, np.nan)


def jackknife(statistic: Callable[[Int[np.ndarray, " kept"]], float], seeds: int, least: int = MIN_SEEDS) -> Interval:
    """Jackknife interval of a statistic over seeds, with a t quantile of ``seeds - 1`` degrees of freedom.

    ``se^2 = (n - 1)/n sum_i (T_without_i - mean)^2`` (Arvesen 1969, for U-statistics). A bootstrap of five seeds would
    be too narrow, since it underestimates the variance over seeds.

    Args:
        statistic: Function of the indices of the seeds that are kept.
        seeds: Number of seeds.
        least: With fewer seeds there is no interval, and both ends are nan.

    Returns:
        Both ends, in units of the statistic.
    """
    if seeds < least:
        return UNKNOWN
    every = np.arange(seeds)
    without = np.array([statistic(np.delete(every, seed)) for seed in every])
    error = np.sqrt((seeds - 1) / seeds * ((without - without.mean()) ** 2).sum())
    half = float(stats.t.ppf(1 - TAIL, seeds - 1) * error)
    return statistic(every) - half, statistic(every) + half


def of_mean(values: Float[np.ndarray, " seeds"]) -> Interval:
    """Interval of the mean over seeds, in units of the values: Student's t."""
    return jackknife(lambda kept: float(values[kept].mean()), len(values))


def of_rank_correlation(rho: float, seeds: int) -> Interval:
    """Interval of Spearman's rho: Fisher's z with variance ``(1 + rho^2 / 2) / (n - 3)`` (Bonett and Wright 2000).

    If all ranks agree, the interval is computed at the next lower possible correlation.

    Args:
        rho: The correlation.
        seeds: Number of seeds.

    Returns:
        Both ends, in [-1, 1].
    """
    if seeds < MIN_SEEDS_RANKED:
        return UNKNOWN
    most = 1 - 6 / (seeds * (seeds**2 - 1))
    low, high = _fisher(float(np.clip(rho, -most, most)), (1 + rho**2 / 2) / (seeds - 3))
    return min(low, rho), max(high, rho)


def of_partial_correlation(r: float, seeds: int, held: int) -> Interval:
    """Interval of a partial correlation: Fisher's z with variance ``1 / (n - 3 - held)``.

    Args:
        r: The partial correlation.
        seeds: Number of seeds.
        held: Number of variables held fixed.

    Returns:
        Both ends, in [-1, 1].
    """
    left = seeds - 3 - held
    return _fisher(r, 1 / left) if left >= MIN_DEGREES else UNKNOWN


def of_share(share: float, groups: int, left: int) -> Interval:
    """Interval of the share of a normal variance between groups, by inverting the noncentral F distribution.

    Args:
        share: Observed share, eta squared.
        groups: Number of groups.
        left: Degrees of freedom within groups.

    Returns:
        Both ends, in [0, 1].
    """
    between = groups - 1
    if left < 1 or share >= NEAREST_ONE:
        return UNKNOWN
    ratio = share / between / ((1 - share) / left)

    def apart(quantile: float) -> float:
        def excess(noncentrality: float) -> float:
            return float(stats.ncf.cdf(ratio, between, left, noncentrality)) - quantile

        if ratio == 0 or excess(0.0) <= 0:
            return 0.0
        high = 1.0
        while excess(high) > 0:
            high *= 2
        return float(optimize.brentq(excess, 0, high))

    low, high = apart(1 - TAIL), apart(TAIL)
    total = left + between + 1
    return low / (low + total), high / (high + total)


def _fisher(r: float, variance: float) -> Interval:
    z = np.arctanh(np.clip(r, -NEAREST_ONE, NEAREST_ONE))
    half = float(stats.norm.ppf(1 - TAIL)) * np.sqrt(variance)
    return float(np.tanh(z - half)), float(np.tanh(z + half))
