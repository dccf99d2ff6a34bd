"""Means over pairs, with intervals for pairs that share units: seeds, branches or checkpoints."""

from __future__ import annotations

import numpy as np
from scipy import stats

from landscape.profile.largest import TAIL
from landscape.shapes import Float, Int

MIN_UNITS = 5
"""Units that an interval needs: fewer may all belong to one of several clusters, without any sign of it."""


def mean_over_units(
    values: Float[np.ndarray, " pairs"],
    errors: Float[np.ndarray, " pairs"],
    a: Int[np.ndarray, " pairs"],
    b: Int[np.ndarray, " pairs"],
) -> tuple[float, float, float]:
    """Mean over pairs and its 95 % interval over the population of units.

    The model of a value is ``v = m + u_a + u_b + e``: a mean, an effect of each unit, and a residual of the pair. Both
    variances are estimated by moments, and ``Var(mean) = Var(u) |w|^2 + Var(e) / pairs``, where ``w`` is the weight of
    each unit in the mean. For all pairs of n units the first term is ``4 Var(u) / n``. If units have no effect, pairs
    are independent, and the interval is that of independent values. If effects of units and residuals cannot be
    separated, as for pairs that all share one unit, all variance is attributed to the units. The quantile is Student's
    t with n - 1 degrees of freedom. If the effects of units are skewed, Johnson's (1978) correction extends the
    interval on the side of the tail. The mean error of the pairs is added in quadrature, as if they were fully
    correlated, because all pairs share their examples.

    Pairs may be missing, and both ends of a pair may belong to one unit, such as branches of one seed. One pair has
    the interval over its examples. With two to four units there is no interval: none covered in simulated worlds.

    Args:
        values: Value of each pair.
        errors: Standard error of each value.
        a: Index of the unit of the first end of each pair.
        b: Index of the unit of the second end.

    Returns:
        Mean and both ends of the interval, in units of the values; the ends are nan if there are too few units.
    """
    mean, shared, pairs = float(values.mean()), float(errors.mean()), len(values)
    units, ends = np.unique(np.stack([a, b]), return_inverse=True)
    n = len(units)
    if n < 2 or pairs < 2:
        half = float(stats.norm.ppf(1 - TAIL)) * shared
        return mean, mean - half, mean + half
    if n < MIN_UNITS:
        return mean, np.nan, np.nan
    counts = np.zeros((pairs, n))
    np.add.at(counts, (np.arange(pairs), ends.reshape(2, -1)), 1)
    variance, degrees, skew = _spread(values - mean, counts)
    error, quantile = np.sqrt(variance + shared**2), float(stats.t.ppf(1 - TAIL, degrees))
    tail = skew * error * (1 + 2 * quantile**2) / (6 * np.sqrt(n))
    half = quantile * error
    return mean, float(mean - half + min(tail, 0)), float(mean + half + max(tail, 0))


def _spread(centred: Float[np.ndarray, " pairs"], counts: Float[np.ndarray, "pairs units"]) -> tuple[float, int, float]:
    """Variance of the mean over pairs, its degrees of freedom, and the skewness of the effects of units."""
    pairs, n = counts.shape
    total, shares = float(centred @ centred), counts.sum(axis=0) / pairs
    own = np.linalg.lstsq(counts - shares, centred, rcond=None)
    left = pairs - 1 - int(own[2])
    rest = float(((centred - (counts - shares) @ own[0]) ** 2).sum()) / left if left else 0.0
    units = (total - rest * (pairs - 1)) / float(((counts - shares) ** 2).sum())
    independent = total / (pairs - 1) / pairs
    variance = units * float(shares @ shares) + rest / pairs
    if left and variance <= independent:
        return independent, pairs - 1, 0.0
    return variance, n - 1, float(stats.skew(own[0], bias=False)) if np.ptp(own[0]) > 0 else 0.0
