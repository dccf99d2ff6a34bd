"""Means over a profile and their errors, paired over examples; some t may be evaluated on fewer examples than others.

Numbers in, numbers out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.profile.nodes import Interpolation, identity
from landscape.shapes import Float

EXAMPLES_PER_REGRESSOR = 4
"""Examples on which a component is known, for each other that it is regressed on."""
ROUNDING = 1e-6
"""Share of the largest loss below which differences of examples are rounding, and nothing is regressed on them."""


@dataclass(frozen=True)
class Components:
    """A profile of each example as its rise above the chord at each t, and the ends' difference, in the losses' unit.

    Attributes:
        t: The evaluated t, in [0, 1].
        values: Rises, or residuals of their regressions, and last the difference; nan where unknown.
        mixing: Weights of the values in rises and difference, without a unit.
        begin: Loss at the first t.
    """

    t: Float[np.ndarray, " t"]
    values: Float[np.ndarray, "components examples"]
    mixing: Float[np.ndarray, "components components"]
    begin: Float[np.ndarray, " examples"]


def components(t: Float[np.ndarray, " t"], losses: Float[np.ndarray, "t examples"]) -> Components:
    """The components of a profile, from which its means, barriers and their errors are computed.

    Rises are paired over examples, so a t that was evaluated on fewer examples than the ends loses no precision by
    that. A rise known on fewer examples than the ends is regressed on their difference, and on the rises known on most
    examples, the nearest first, if it is known on fewer than these. It becomes the residual of that regression, which
    is small (a regression estimator). Residuals are scaled, so that the variance of their mean is that of the estimator
    (:func:`inflation`).

    Args:
        t: The evaluated t, increasing from 0 to 1.
        losses: Loss of each example at each t; nan where it was not evaluated. The ends have all examples.
    """
    relative = (losses - losses[:1]).astype(np.float64)
    rises = np.concatenate([relative - t[:, None] * relative[-1:], relative[-1:]])
    values, mixing, last = rises.copy(), np.eye(len(rises)), len(rises) - 1
    rounding = ROUNDING * np.abs(losses[[0, -1]]).max()
    counts = np.isfinite(rises[1:-2]).sum(axis=1)
    best = 1 + np.flatnonzero(counts == counts.max(initial=0))
    fewer = 1 + np.flatnonzero(counts < counts.max(initial=0))
    for k in (*(best if counts.max(initial=0) < rises.shape[1] else ()), *fewer):
        known = np.isfinite(rises[k])
        nearest = best[np.argsort(np.abs(best - k), kind="stable")] if k in fewer else best[:0]
        use = np.append(nearest[: regressors(int(known.sum())) - 1], last)
        x, y = rises[use][:, known], rises[k, known]
        centred = x - x.mean(axis=1, keepdims=True)
        centred[np.abs(centred).max(axis=1) <= rounding] = 0
        coefficients, _, rank, _ = np.linalg.lstsq(centred.T, y - y.mean(), rcond=1e-6)
        mixing[k] += coefficients @ mixing[use]
        values[k] -= coefficients @ rises[use]
        mean = values[k, known].mean()
        values[k] = mean + (values[k] - mean) * np.sqrt(inflation(int(known.sum()), int(rank)))
    return Components(t, values, mixing, losses[0])


def regressors(examples: int) -> int:
    """How many components another one is regressed on, the ends' difference among them."""
    return max(2, examples // EXAMPLES_PER_REGRESSOR)


def inflation(examples: int, regressors: int) -> float:
    """How much larger the variance of a regression estimator is than the variance of the residuals suggests.

    ``(n - 1) (n - 2) / ((n - 1 - p) (n - 2 - p))`` for ``n`` examples and ``p`` regressors: residuals are too small by
    the degrees of freedom that the coefficients took, and the coefficients have errors of their own (Cochran, Sampling
    Techniques, section 7.7, for normal variables).
    """
    left = max(examples - 2 - regressors, 1)
    return (examples - 1) * (examples - 2) / ((left + 1) * left)


def component_means(values: Float[np.ndarray, "components examples"]) -> Float[np.ndarray, " components"]:
    """Mean of each component over the examples on which it is known, in the unit of the losses."""
    return np.asarray(np.nanmean(values, axis=1))


def means_by_differences(values: Float[np.ndarray, "t examples"]) -> Float[np.ndarray, " t"]:
    """Means at each t, in the unit of the values.

    A t with fewer examples than others gets the mean of the nearest t with most examples, plus the mean difference
    from it.
    """
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
    """Means along a path with their standard errors, in the unit of the losses.

    Attributes:
        loss: Mean loss.
        error: Its standard error.
        rise: Mean rise above the chord.
        rise_error: Its standard error, paired over examples.
        shares: Variance of the rise due to each evaluated t, as if these were independent; squared unit.
    """

    loss: Float[np.ndarray, " read"]
    error: Float[np.ndarray, " read"]
    rise: Float[np.ndarray, " read"]
    rise_error: Float[np.ndarray, " read"]
    shares: Float[np.ndarray, "read t"]


def band(profile: Components, interpolation: Interpolation | None = None) -> Band:
    """Mean loss and mean rise above the chord where a profile is read, in the unit of the losses.

    Args:
        profile: The profile.
        interpolation: As in :func:`landscape.profile.barrier.estimate`.
    """
    interpolation = interpolation or identity(profile.t)
    read = interpolation.t
    at = np.eye(len(read))
    ends = np.outer(1 - read, read == 0) + np.outer(read, read == 1)
    loss, rise = (functionals(rows, profile, interpolation) for rows in (at, at - ends))
    return Band(loss.value, loss.error, rise.value, rise.error, rise.shares)


@dataclass(frozen=True)
class Functionals:
    """Linear functionals of a mean profile with their standard errors, paired over examples, in the unit of the losses.

    Attributes:
        value: Each functional.
        error: Its standard error.
        shares: Its variance due to each evaluated t, as if these were independent; squared unit.
    """

    value: Float[np.ndarray, " rows"]
    error: Float[np.ndarray, " rows"]
    shares: Float[np.ndarray, "rows t"]


def functionals(
    rows: Float[np.ndarray, "rows read"], profile: Components, interpolation: Interpolation | None = None
) -> Functionals:
    """Weighted sums of the mean loss over the t where a profile is read: means, differences, integrals.

    Args:
        rows: Weight of each t that is read.
        profile: The profile.
        interpolation: As in :func:`landscape.profile.barrier.estimate`.
    """
    interpolation = interpolation or identity(profile.t)
    values = np.concatenate([profile.values, profile.begin[None]])
    known = np.isfinite(values)
    means, count = component_means(values), known.sum(axis=1)
    centred = np.where(known, values - means[:, None], 0)
    shared = known.astype(float) @ known.T
    covariance = centred @ centred.T / np.outer(count, count) * shared / np.maximum(shared - 1, 1)
    of_rises = np.concatenate([rows @ interpolation.matrix, (rows @ interpolation.t)[:, None]], axis=1) @ profile.mixing
    weights = np.concatenate([of_rises, rows.sum(axis=1, keepdims=True)], axis=1)
    variance = np.einsum("rp,pq,rq->r", weights, covariance, weights).clip(min=0)
    return Functionals(weights @ means, np.sqrt(variance), (weights**2 * covariance.diagonal())[:, : len(profile.t)])


def influences(
    index: int | np.integer, profile: Components, interpolation: Interpolation | None = None
) -> Float[np.ndarray, " examples"]:
    """Influence of each example on the mean rise at one t, in the unit of the losses.

    The root of their sum of squares is the standard error of that rise. Influences of several profiles on the same
    examples may be added: the result gives the error of the sum of the profiles.

    Args:
        index: Which t of the interpolation.
        profile: The profile.
        interpolation: As in :func:`landscape.profile.barrier.estimate`.
    """
    interpolation = interpolation or identity(profile.t)
    values = profile.values
    known = np.isfinite(values)
    centred = np.where(known, values - component_means(values)[:, None], 0) / known.sum(axis=1, keepdims=True)
    return np.asarray(np.append(interpolation.matrix[index], 0) @ profile.mixing @ centred)


def standard_error(values: Float[np.ndarray, "*batch examples"]) -> Float[np.ndarray, "*batch"]:
    """Standard error of the mean over the last axis, in the unit of the values."""
    return np.asarray(values.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1]))
