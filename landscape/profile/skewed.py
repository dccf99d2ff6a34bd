"""Errors of means of skewed values: where the mean comes out low, its error is estimated too small as well."""

from __future__ import annotations

import numpy as np

from landscape.shapes import Float

AT_ONCE = 64
"""Contrasts whose values are in memory together."""
SYMMETRIC = 1e-6
"""Product of skewness and deviation below which nothing is corrected, as that would be lost in rounding."""


def of_means(
    rows: Float[np.ndarray, "maxima minima components"], centred: Float[np.ndarray, "components examples"]
) -> Float[np.ndarray, "maxima minima"]:
    """Skewness of the mean of each contrast: that of its examples over the root of their number.

    Args:
        rows: Contrasts, as weights of the components.
        centred: Components of each example, with a mean of zero.

    Returns:
        The skewness, between -1 and 1; zero where all examples agree.
    """
    skewness = np.zeros(rows.shape[:2])
    for begin in range(0, len(rows), AT_ONCE):
        block = slice(begin, begin + AT_ONCE)
        values = rows[block] @ centred
        square = values * values
        second, third = square.sum(axis=-1), (square * values).sum(axis=-1)
        np.divide(third, second**1.5, out=skewness[block], where=second > 0)
    return skewness


def lengthened(
    deviation: Float[np.ndarray, "*#maxima"] | float, skewness: Float[np.ndarray, "*#maxima"]
) -> Float[np.ndarray, "*#maxima"]:
    """Deviations of means in standard errors; against the skew, in the errors that are estimated along with such means.

    With the skewness ``s`` of the mean, a deviation ``d`` is as probable as the normal deviate
    ``6 / s (cbrt(1 + s d / 2) - 1) + s / 6`` (Wilson and Hilferty 1931), and a deviation ``T`` in estimated errors as
    ``((1 + s T / 3)^3 - 1) / s + s / 6`` (Hall 1992). The two agree at the ``T`` returned, about ``d - s d^2 / 2``.
    Unlike quantiles of the studentised bootstrap it stays finite on few examples. Deviations along the skew would
    become shorter. They are left as they are: the skewness of few heavy-tailed examples is mostly noise, and intervals
    shortened by it cover too little.

    Args:
        deviation: Deviations, in standard errors of the mean.
        skewness: Skewness of each mean.

    >>> lengthened(np.array([-2.0, 2.0]), np.array(0.3)).round(3)
    array([-3.108,  2.   ])
    """
    against = skewness * deviation < -SYMMETRIC
    s = np.where(against, skewness, 1.0)
    return np.where(against, 3 / s * (np.cbrt(6 * np.cbrt(1 + s * deviation / 2) - 5) - 1), deviation)
