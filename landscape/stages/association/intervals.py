"""95 % intervals of statistics over few seeds, each shown from the number of seeds on at which it covers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize, stats

from landscape.shapes import Float, Int

COVERAGE = 0.95
TAIL = (1 - COVERAGE) / 2
LEAST = 5
"""Seeds that an interval needs."""
LEAST_RANKED = 6
"""Seeds that one of a rank correlation needs: near 1 that of five covers 0.85."""
LEAST_DESCRIBED = 20
"""Seeds that one needs of a share of pairs of seeds, or of a correlation of pairs with the loss held fixed: that of
ten covers 0.88."""
LEAST_LEFT = 3
"""Degrees of freedom that an interval of a partial correlation needs."""
NEAREST_ONE = 1 - 1e-7
Interval = tuple[float, float]
UNKNOWN: Interval = (np.nan, np.nan)


def jackknife(statistic: Callable[[Int[np.ndarray, " kept"]], float], seeds: int, least: int = LEAST) -> Interval:
    """Of a statistic of the seeds: the jackknife over them, with a t quantile of ``seeds - 1`` degrees of freedom.

    ``se^2 = (n - 1)/n sum_i (T_without_i - mean)^2`` (Arvesen 1969, for U-statistics). A bootstrap of five seeds is
    too narrow, since it shows less of how seeds differ than there is.

    Args:
        statistic: Of the numbers of the seeds that are kept.
        seeds: How many there are.
        least: With fewer there is no interval, and both ends are nan.
    """
    if seeds < least:
        return UNKNOWN
    every = np.arange(seeds)
    without = np.array([statistic(np.delete(every, seed)) for seed in every])
    error = np.sqrt((seeds - 1) / seeds * ((without - without.mean()) ** 2).sum())
    half = float(stats.t.ppf(1 - TAIL, seeds - 1) * error)
    return statistic(every) - half, statistic(every) + half


def of_mean(values: Float[np.ndarray, " seeds"]) -> Interval:
    """Of the mean over seeds: Student's t."""
    return jackknife(lambda kept: float(values[kept].mean()), len(values))


def of_rank_correlation(rho: float, seeds: int) -> Interval:
    """Of Spearman's correlation: Fisher's z with variance ``(1 + rho^2 / 2) / (n - 3)`` (Bonett and Wright 2000).

    Ranks that agree in all seeds are taken for a correlation between 1 and the next lower one.

    Args:
        rho: The correlation.
        seeds: That it is over.
    """
    if seeds < LEAST_RANKED:
        return UNKNOWN
    most = 1 - 6 / (seeds * (seeds**2 - 1))
    low, high = _fisher(float(np.clip(rho, -most, most)), (1 + rho**2 / 2) / (seeds - 3))
    return min(low, rho), max(high, rho)


def of_partial_correlation(r: float, seeds: int, held: int) -> Interval:
    """Of a partial correlation with so many variables held fixed: Fisher's z with variance ``1 / (n - 3 - held)``."""
    left = seeds - 3 - held
    return _fisher(r, 1 / left) if left >= LEAST_LEFT else UNKNOWN


def of_share(share: float, groups: int, left: int) -> Interval:
    """Of the share of a normal variance that lies between groups, by inverting the noncentral F distribution.

    Args:
        share: That was seen, eta squared.
        groups: How many.
        left: Degrees of freedom within them.
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
