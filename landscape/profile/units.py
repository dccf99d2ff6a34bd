"""Means over pairs, with an interval that knows that pairs share their units, which are seeds or branches."""

from __future__ import annotations

import numpy as np
from scipy import stats

from landscape.profile.definitions import TAIL
from landscape.shapes import Float, Int

MIN_UNITS = 5
"""Units that an interval over them needs: fewer may all be of one cluster, and nothing shows that there are two."""


def mean_over_units(
    values: Float[np.ndarray, " pairs"],
    errors: Float[np.ndarray, " pairs"],
    a: Int[np.ndarray, " pairs"],
    b: Int[np.ndarray, " pairs"],
) -> tuple[float, float, float]:
    """Mean over any pairs and its 95 % interval over other units.

    A value is the mean, what either unit brings, and a rest of the pair, ``v = m + u_a + u_b + e``. With the variances
    of both estimated by moments, ``Var(mean) = Var(u) |w|^2 + Var(e) / pairs``, ``w`` being how much of each unit the
    mean holds: ``4 Var(u) / n`` for all pairs of n units. Where units bring nothing, pairs are independent, and the
    interval is theirs; where units and pairs cannot be told apart, as for pairs that all share a unit, all variance is
    the units'. The quantile is Student's t with n - 1 degrees of freedom. If the units are skewed, as where few of
    them are far from all others, the end on the side of the tail is moved out by Johnson's (1978) correction. The mean
    error of the pairs is added in quadrature, as if they were fully correlated, because they share their examples.

    Pairs may be missing, and both ends of a pair may be of one unit, such as branches of one seed. One pair has the
    interval of its examples. With two to four units there is none: no interval of so few covered in simulated worlds.

    Args:
        values: Of each pair.
        errors: Standard error of each.
        a: Number of the unit of the first end of each pair.
        b: The same of its second end.

    Returns:
        Mean, low, high; low and high are nan if there are too few units.
    """
    mean, shared, pairs = float(values.mean()), float(errors.mean()), len(values)
    units, ends = np.unique(np.stack([a, b]), return_inverse=True)
    n = len(units)
    if n < 2 or pairs < 2:
        half = float(stats.norm.ppf(1 - TAIL)) * shared
        return mean, mean - half, mean + half
    if n < MIN_UNITS:
        return mean, np.nan, np.nan
    brought = np.zeros((pairs, n))
    np.add.at(brought, (np.arange(pairs), ends.reshape(2, -1)), 1)
    variance, freedom, skew = _spread(values - mean, brought)
    error, quantile = np.sqrt(variance + shared**2), float(stats.t.ppf(1 - TAIL, freedom))
    tail = skew * error * (1 + 2 * quantile**2) / (6 * np.sqrt(n))
    half = quantile * error
    return mean, float(mean - half + min(tail, 0)), float(mean + half + max(tail, 0))


def _spread(
    centred: Float[np.ndarray, " pairs"], brought: Float[np.ndarray, "pairs units"]
) -> tuple[float, int, float]:
    """Variance of the mean of the pairs, its degrees of freedom, and the skewness of what the units bring."""
    pairs, n = brought.shape
    total, shares = float(centred @ centred), brought.sum(axis=0) / pairs
    own = np.linalg.lstsq(brought - shares, centred, rcond=None)
    left = pairs - 1 - int(own[2])
    rest = float(((centred - (brought - shares) @ own[0]) ** 2).sum()) / left if left else 0.0
    units = (total - rest * (pairs - 1)) / float(((brought - shares) ** 2).sum())
    alone = total / (pairs - 1) / pairs
    variance = units * float(shares @ shares) + rest / pairs
    if left and variance <= alone:
        return alone, pairs - 1, 0.0
    return variance, n - 1, float(stats.skew(own[0], bias=False)) if np.ptp(own[0]) > 0 else 0.0
