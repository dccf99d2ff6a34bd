"""The noise of a series: its scatter from checkpoint to checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from landscape.shapes import Float

ORDERS = (2, 3)
"""Orders of the divided differences: the second removes a straight line, the third a parabola."""
NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
MIN_RMS_SHARE = 0.2
"""Lower bound of a robust deviation, as a share of the root mean square of the differences. Where most values equal
their neighbours the median is zero, and any other value would count as an event."""
MIN_SCATTER_SHARE = 0.25
"""Lower bound of the scatter about the mean over seeds, as a share of the scatter of each: identical runs have none."""
MIN_SEEDS = 3
"""Seeds with the same checkpoints that the mean over seeds needs to be subtracted."""


@dataclass(frozen=True)
class Noise:
    """The standard deviation of one value, and how precisely it is known.

    Attributes:
        sd: Standard deviation, in units of the series.
        count: Number of differences that it was estimated from.
    """

    sd: float
    count: int


def scatter(x: Sequence[Float[np.ndarray, " _"]], values: Sequence[Float[np.ndarray, " _"]]) -> Noise:
    """Robust standard deviation from differences between neighbours, in which a smooth curve nearly cancels.

    Divided differences of the second and of the third order are scaled to the variance of one value. The estimate is
    their median absolute value (for the second order: Gasser, Sroka and Jennen-Steinmetz 1986). With few checkpoints
    the differences still contain some of the curve, so the smaller estimate is used. With three seeds or more that
    share their checkpoints, the mean over seeds is part of the curve too, and a further estimate subtracts it.

    Args:
        x: Coordinates of the checkpoints of each run, on the axis of training.
        values: The values of each run.

    Returns:
        The smallest of the estimates.
    """
    estimates: list[Noise] = []
    for order in ORDERS:
        long = [n for n, own in enumerate(x) if len(own) > order]
        if not long:
            continue
        own = [residuals(x[n], values[n], order) for n in long]
        alone = float(robust(np.concatenate(own)))
        estimates.append(Noise(alone, sum(map(len, own))))
        same = [r for n, r in zip(long, own, strict=True) if np.array_equal(x[n], x[long[0]])]
        if len(same) >= MIN_SEEDS:
            table = np.stack(same)
            apart = (table - table.mean(axis=0)) * np.sqrt(len(same) / (len(same) - 1))
            estimates.append(
                Noise(max(float(robust(apart.ravel())), MIN_SCATTER_SHARE * alone), table.size - table.shape[1])
            )
    return min(estimates, key=lambda one: one.sd, default=Noise(0.0, 0))


def residuals(
    x: Float[np.ndarray, " steps"], values: Float[np.ndarray, "*worlds steps"], order: int
) -> Float[np.ndarray, "*worlds differences"]:
    """Divided differences of the values over each ``order + 1`` neighbours, with weights of norm 1.

    Args:
        x: Coordinates of the checkpoints.
        values: Values, of one series or of several.
        order: Order of the differences; 2 removes a straight line.

    Returns:
        Differences in units of the values; the variance is that of one value.
    """
    windows = np.lib.stride_tricks.sliding_window_view(x, order + 1)
    apart = windows[:, :, None] - windows[:, None, :] + np.eye(order + 1)
    weights = 1 / apart.prod(axis=2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    neighbours = np.lib.stride_tricks.sliding_window_view(values, order + 1, axis=-1)
    return np.asarray((weights * neighbours).sum(axis=-1))


def robust(differences: Float[np.ndarray, "*worlds n"]) -> Float[np.ndarray, "*worlds"]:
    """Standard deviation of normal differences, in their units; a minority of outliers has little influence."""
    size = np.abs(differences)
    return np.asarray(np.maximum(NORMAL * np.median(size, axis=-1), MIN_RMS_SHARE * np.sqrt((size**2).mean(axis=-1))))
