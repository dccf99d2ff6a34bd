"""Means over a profile and their errors, paired over examples; some times may be known on fewer of them.

Numbers in, numbers out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.profile.nodes import Interpolation, identity
from landscape.shapes import Float

EACH = 8
"""Examples for each part that another is regressed on."""


def parts_of(
    t: Float[np.ndarray, " t"], losses: Float[np.ndarray, "t examples"]
) -> tuple[Float[np.ndarray, "parts examples"], Float[np.ndarray, "parts parts"]]:
    """What a profile is made of, example by example: its rise above the chord at each time, and the ends' difference.

    Rises are paired example by example, so that times known on fewer examples than the ends lose nothing by it. A
    rise that is known on fewer examples than others is taken as a combination of those known best, the nearest first,
    and of the ends' difference, plus a rest: the first is known well, and the second is small (a regression estimator).

    Returns:
        The parts, nan where unknown; and the weights of the parts in rises and difference.
    """
    relative = (losses - losses[:1]).astype(np.float64)
    parts = np.concatenate([relative - t[:, None] * relative[-1:], relative[-1:]])
    mixing, last = np.eye(len(parts)), len(parts) - 1
    counts = np.isfinite(parts[1:-2]).sum(axis=1)
    best = 1 + np.flatnonzero(counts == counts.max(initial=0))
    for k in 1 + np.flatnonzero(counts < counts.max(initial=0)):
        here = np.isfinite(parts[k])
        nearest = best[np.argsort(np.abs(best - k), kind="stable")]
        use = np.append(nearest[: max(1, int(here.sum()) // EACH - 1)], last)
        x, y = parts[use][:, here], parts[k, here]
        centred = x - x.mean(axis=1, keepdims=True)
        slopes = np.linalg.lstsq(centred.T, y - y.mean(), rcond=1e-6)[0]
        mixing[k, use] = slopes
        parts[k] -= slopes @ parts[use]
    return parts, mixing


def means_of(parts: Float[np.ndarray, "parts examples"]) -> Float[np.ndarray, " parts"]:
    """Mean of each part over the examples on which it is known."""
    return np.asarray(np.nanmean(parts, axis=1))


def means_by_differences(values: Float[np.ndarray, "t examples"]) -> Float[np.ndarray, " t"]:
    """Means; of a time that is known on fewer examples, by its differences from the nearest that is known best."""
    known = np.isfinite(values)
    counts = known.sum(axis=1)
    best = np.flatnonzero(counts == counts.max(initial=0))
    out = np.nanmean(values, axis=1)
    for k in np.flatnonzero(counts < counts.max(initial=0)):
        near = best[np.abs(best - k).argmin()]
        out[k] = out[near] + (values[k] - values[near])[known[k]].mean()
    return np.asarray(out)


@dataclass(frozen=True)
class Band:
    """Means along a path, with their standard errors.

    Attributes:
        loss: Mean loss.
        error: Its standard error.
        rise: Mean rise above the chord.
        rise_error: Its standard error, paired over examples.
        shares: Variance of the rise that comes from each evaluated time, as if they were independent.
    """

    loss: Float[np.ndarray, " read"]
    error: Float[np.ndarray, " read"]
    rise: Float[np.ndarray, " read"]
    rise_error: Float[np.ndarray, " read"]
    shares: Float[np.ndarray, "read t"]


def band(
    t: Float[np.ndarray, " t"], losses: Float[np.ndarray, "t examples"], interpolation: Interpolation | None = None
) -> Band:
    """Mean loss and mean rise above the chord where a profile is read.

    Args:
        t: Dates, increasing from 0 to 1.
        losses: As in :func:`landscape.profile.definitions.estimate`.
        interpolation: As in :func:`landscape.profile.definitions.estimate`.
    """
    interpolation = interpolation or identity(t)
    times = interpolation.t
    at = np.eye(len(times))
    ends = np.outer(1 - times, times == 0) + np.outer(times, times == 1)
    loss, rise = (functionals(rows, t, losses, interpolation) for rows in (at, at - ends))
    return Band(loss.value, loss.error, rise.value, rise.error, rise.shares)


@dataclass(frozen=True)
class Functionals:
    """Linear functionals of a mean profile, with their standard errors, paired over examples.

    Attributes:
        value: Each functional.
        error: Its standard error.
        shares: Its variance that comes from each evaluated time, as if they were independent.
    """

    value: Float[np.ndarray, " rows"]
    error: Float[np.ndarray, " rows"]
    shares: Float[np.ndarray, "rows t"]


def functionals(
    rows: Float[np.ndarray, "rows read"],
    t: Float[np.ndarray, " t"],
    losses: Float[np.ndarray, "t examples"],
    interpolation: Interpolation | None = None,
) -> Functionals:
    """Weighted sums of the mean loss over the places where a profile is read: means, differences, integrals.

    Args:
        rows: Weight of each place.
        t: Dates, increasing from 0 to 1.
        losses: As in :func:`landscape.profile.definitions.estimate`.
        interpolation: As in :func:`landscape.profile.definitions.estimate`.
    """
    interpolation = interpolation or identity(t)
    rises, mixing = parts_of(t, losses)
    parts = np.concatenate([rises, losses[:1]])
    known = np.isfinite(parts)
    means, count = means_of(parts), known.sum(axis=1)
    centred = np.where(known, parts - means[:, None], 0)
    shared = known.astype(float) @ known.T
    covariance = centred @ centred.T / np.outer(count, count) * shared / np.maximum(shared - 1, 1)
    of_rises = np.concatenate([rows @ interpolation.matrix, (rows @ interpolation.t)[:, None]], axis=1) @ mixing
    weights = np.concatenate([of_rises, rows.sum(axis=1, keepdims=True)], axis=1)
    variance = np.einsum("rp,pq,rq->r", weights, covariance, weights).clip(min=0)
    return Functionals(weights @ means, np.sqrt(variance), (weights**2 * covariance.diagonal())[:, : len(t)])


def influences(
    place: int | np.integer,
    t: Float[np.ndarray, " t"],
    losses: Float[np.ndarray, "t examples"],
    interpolation: Interpolation | None = None,
) -> Float[np.ndarray, " examples"]:
    """What each example adds to the mean rise at a place: the root of their sum of squares is its standard error.

    Those of several profiles on the same examples may be added up: that gives the error of a sum of profiles.

    Args:
        place: Where the profile is read, a position in the times of the interpolation.
        t: Dates, increasing from 0 to 1.
        losses: As in :func:`landscape.profile.definitions.estimate`.
        interpolation: As in :func:`landscape.profile.definitions.estimate`.
    """
    interpolation = interpolation or identity(t)
    parts, mixing = parts_of(t, losses)
    known = np.isfinite(parts)
    centred = np.where(known, parts - means_of(parts)[:, None], 0) / known.sum(axis=1, keepdims=True)
    return np.asarray(np.append(interpolation.matrix[place], 0) @ mixing @ centred)


def standard_error(values: Float[np.ndarray, "*batch examples"]) -> Float[np.ndarray, "*batch"]:
    """Standard error of the mean over the last axis."""
    return np.asarray(values.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1]))
