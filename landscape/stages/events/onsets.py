"""When a run settles: the first step from which a barrier stays below a threshold.

For branches that parted at step k it is the onset of stability to the noise of the data order (Frankle et al. 2020,
arXiv:1912.05671, by the error of the mean of the ends; here by the definition of the rows). For the barrier from each
step to the last it is the entry into the final basin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import isotonic_regression

from landscape.shapes import Float
from landscape.stages.events.changes import Event


def settles(
    x: Float[np.ndarray, " steps"],
    barrier: Float[np.ndarray, "draws steps"],
    threshold: float,
) -> Event:
    """First place from which the barrier stays below the threshold, in every draw.

    A draw is made decreasing in the step by isotonic regression, and crosses the threshold where the line between two
    steps does. Always below is dated before the first step (minus infinity), never below after the last (infinity).

    Args:
        x: Places of the checkpoints on the axis of training, increasing.
        barrier: Draws of the barriers, from :func:`resampled`.
        threshold: What counts as connected, in the unit of the barriers.
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
    return Event("settles", "fall", at)


def middle(settled: Sequence[Event], random: np.random.Generator) -> Event:
    """The median over the seeds of when they settle, in draws that resample the seeds."""
    at = np.stack([event.at for event in settled])
    drawn = np.sort(np.take_along_axis(at, random.integers(len(at), size=at.shape), axis=0), axis=0)
    lower, upper = drawn[(len(at) - 1) // 2], drawn[len(at) // 2]
    opposite = np.isinf(lower) & np.isinf(upper)  # one before training and one after it have no mean
    return Event("settles", "fall", np.where(opposite, lower, (np.where(opposite, 0, lower) + upper) / 2))


def resampled(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], draws: int, random: np.random.Generator
) -> Float[np.ndarray, "draws steps"]:
    """Draws of the mean barrier at each step: branches resampled, and the error of the examples added.

    A pair counts as often as both of its branches are drawn; in a draw of one branch only, all pairs count once. With
    two branches there is one pair, and the error is that of the examples alone.

    Args:
        pairs: At each step the barriers, their standard errors, and numbers of the two branches ``[pairs, 2]``.
        draws: How many.
        random: Source of randomness.
    """
    out = np.empty((draws, len(pairs)))
    for n, (values, errors, branches) in enumerate(pairs):
        names, places = np.unique(branches, return_inverse=True)
        places = places.reshape(-1, 2)
        noisy = values + np.nan_to_num(errors) * random.standard_normal((draws, 1))
        weights = np.ones((draws, len(values)))
        if len(values) > 1 and len(names) > 2:
            drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
            weights = (drawn[:, places[:, 0]] * drawn[:, places[:, 1]]).astype(float)
            weights[weights.sum(axis=1) == 0] = 1.0
        out[:, n] = (noisy * weights).sum(axis=1) / weights.sum(axis=1)
    return out
