"""How much a series scatters from checkpoint to checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from landscape.shapes import Float

ORDERS = (2, 3)
"""Of the divided differences: the first takes out a straight line, the second a parabola."""
NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
LEAST_SHARE = 0.2
"""Of the root mean square of the differences: what the median alone may not fall below. Where most values are equal to
their neighbours' the median is zero, and every other value would be an event."""
ALIKE = 0.25
"""Least scatter about the mean over seeds, as a share of the scatter of each: runs that are copies have none."""
SEEDS = 3
"""Seeds with the same checkpoints from which the mean over them is taken out."""


@dataclass(frozen=True)
class Noise:
    """The standard deviation of one value, and how well it is known.

    Attributes:
        sd: Standard deviation.
        count: Differences that it was estimated from.
    """

    sd: float
    count: int


def scatter(x: Sequence[Float[np.ndarray, " _"]], values: Sequence[Float[np.ndarray, " _"]]) -> Noise:
    """Robust standard deviation from differences between neighbours, of which what is smooth has little.

    Divided differences of the second and of the third order are scaled to the variance of one value, and their median
    absolute value is taken (for the second order: Gasser, Sroka and Jennen-Steinmetz 1986). Of few checkpoints each
    still has some of the curve, so the smaller one counts. What all seeds have in common at the same checkpoints is
    curve too, and is taken out of a further estimate if there are three seeds or more.

    Args:
        x: Places of the checkpoints of each run of a series.
        values: Its values.
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
        if len(same) >= SEEDS:
            table = np.stack(same)
            apart = (table - table.mean(axis=0)) * np.sqrt(len(same) / (len(same) - 1))
            estimates.append(Noise(max(float(robust(apart.ravel())), ALIKE * alone), table.size - table.shape[1]))
    return min(estimates, key=lambda one: one.sd, default=Noise(0.0, 0))


def residuals(
    x: Float[np.ndarray, " steps"], values: Float[np.ndarray, "*worlds steps"], order: int
) -> Float[np.ndarray, "*worlds differences"]:
    """Divided differences of the values over each ``order + 1`` neighbours, with weights of norm 1."""
    windows = np.lib.stride_tricks.sliding_window_view(x, order + 1)
    apart = windows[:, :, None] - windows[:, None, :] + np.eye(order + 1)
    weights = 1 / apart.prod(axis=2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    neighbours = np.lib.stride_tricks.sliding_window_view(values, order + 1, axis=-1)
    return np.asarray((weights * neighbours).sum(axis=-1))


def robust(differences: Float[np.ndarray, "*worlds n"]) -> Float[np.ndarray, "*worlds"]:
    """Standard deviation of normal differences, whatever a minority of them is."""
    size = np.abs(differences)
    return np.asarray(np.maximum(NORMAL * np.median(size, axis=-1), LEAST_SHARE * np.sqrt((size**2).mean(axis=-1))))
