"""Time to stable connectivity: the first step from which a barrier stays below a threshold.

For branches that are spawned at step k it is the onset of stability to the noise of the data order (Frankle et al.
2020, arXiv:1912.05671, who measure the rise above the mean of the ends; here it is the definition of the rows). For the
barrier from each step to the last step of a run it is the entry into the final basin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import isotonic_regression

from landscape.shapes import Float
from landscape.stages.events.changes import Event


def stable(
    x: Float[np.ndarray, " steps"],
    barrier: Float[np.ndarray, "draws steps"],
    threshold: float,
) -> Event:
    """When the barrier falls below the threshold for good, in every draw.

    Isotonic regression makes each draw decreasing in the step. The date is where the line between two steps reaches the
    threshold. A draw that is always below is dated at minus infinity, one that is never below at infinity.

    Args:
        x: Coordinates of the checkpoints on the axis of training, increasing.
        barrier: Draws of the barriers, from :func:`resampled`.
        threshold: Barrier below which two checkpoints are connected, in units of the barriers.
    """
    at = np.empty(len(barrier))
    for n, values in enumerate(barrier):
        fitted = isotonic_regression(values, increasing=False).x
        below = np.flatnonzero(fitted <= threshold)
        if len(below) == 0:
            at[n] = np.inf
        elif below[0] == 0:
            at[n] = -np.inf
        else:
            k = below[0]
            share = (fitted[k - 1] - threshold) / (fitted[k - 1] - fitted[k])
            at[n] = x[k - 1] + share * (x[k] - x[k - 1])
    return Event("stable", "fall", at)


def median_of_seeds(events: Sequence[Event], random: np.random.Generator) -> Event:
    """The median over seeds of the time to stable connectivity; draws resample the seeds."""
    at = np.stack([event.at for event in events])
    drawn = np.sort(np.take_along_axis(at, random.integers(len(at), size=at.shape), axis=0), axis=0)
    lower, upper = drawn[(len(at) - 1) // 2], drawn[len(at) // 2]
    opposite = np.isinf(lower) & np.isinf(upper)  # minus infinity and infinity have no mean
    return Event("stable", "fall", np.where(opposite, lower, (np.where(opposite, 0, lower) + upper) / 2))


def resampled(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], draws: int, random: np.random.Generator
) -> Float[np.ndarray, "draws steps"]:
    """Draws of the mean barrier at each step: branches are resampled, and the error of the examples is added.

    The weight of a pair is the product of the counts of its branches in the draw. If a draw has one branch only, all
    pairs have weight 1. With two branches there is one pair, and the error is that of the examples alone.

    Args:
        pairs: At each step the barriers, their standard errors, and the indices of both branches ``[pairs, 2]``.
        draws: Number of draws.
        random: Source of randomness.

    Returns:
        Mean barriers, in units of the barriers.
    """
    out = np.empty((draws, len(pairs)))
    for n, (values, errors, branches) in enumerate(pairs):
        names, index = np.unique(branches, return_inverse=True)
        index = index.reshape(-1, 2)
        noisy = values + np.nan_to_num(errors) * random.standard_normal((draws, 1))
        weights = np.ones((draws, len(values)))
        if len(values) > 1 and len(names) > 2:
            drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
            weights = (drawn[:, index[:, 0]] * drawn[:, index[:, 1]]).astype(float)
            weights[weights.sum(axis=1) == 0] = 1.0
        out[:, n] = (noisy * weights).sum(axis=1) / weights.sum(axis=1)
    return out
