"""What the examples that are known at all t say of all examples: errors, and where more are to be evaluated."""

from __future__ import annotations

import math

import numpy as np

from landscape.profile import barrier, nodes, paired
from landscape.profile.allocation import WIDER, WIDER_OF_MANY, Allocation, allocate, allowed, variances
from landscape.profile.definitions import MAX_COARSE
from landscape.profile.path_state import PathState
from landscape.profile.sequential import ONE_LOOK
from landscape.shapes import Float, Int

KNOWN_TO = 0.5
"""Relative error to which a variance must be known."""
MAX_CONTRASTS = 64
"""How many contrasts of a definition are considered, the largest first."""


def enough(ends: Float[np.ndarray, "2 examples"]) -> int:
    """How many examples know a variance to half of it, where losses have the tails that those of the ends have.

    The relative error of a variance on ``m`` examples is ``sqrt((k - 1) / m)``, with ``k`` the kurtosis, which is 3 for
    a normal loss (Cochran, Sampling Techniques, section 2.15). Where a few examples are far out, that is nearly all:
    fewer would know neither the shape nor the error that these bring.

    Args:
        ends: Losses of all examples at both ends.
    """
    apart = ends - ends.mean(axis=1, keepdims=True, dtype=float)
    apart /= np.abs(apart).max(axis=1, keepdims=True).clip(min=np.finfo(float).tiny)  # else powers may overflow
    square, fourth = ((apart**power).mean(axis=1) for power in (2, 4))
    kurtosis = float(np.divide(fourth, square**2, out=np.ones_like(square), where=square > 0).max())
    return min(math.ceil((kurtosis - 1) / KNOWN_TO**2), len(ends[0]))


def moments(
    state: PathState, pilot: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " components"], Float[np.ndarray, "components components"]]:
    """Means and covariance of the components of one example, in the unit of the losses.

    The ends' difference is known on all examples, so these are its mean and variance on all; those of the rises follow
    by regression on it (Anderson 1957, for normal variables). So an example of the pilot that is far out is given the
    weight that such examples have among all.

    Args:
        state: A path.
        pilot: Examples that are known at all t in use.
    """
    values = paired.components(state.t[state.used], state.profile[:, pilot]).values
    means, covariance = values.mean(axis=1), np.cov(values)
    difference = np.diff(state.path.ends.astype(float), axis=0)[0]
    varies = np.sqrt(covariance[-1, -1]) > paired.ROUNDING * np.abs(state.path.ends).max()
    coefficients = covariance[-1] / covariance[-1, -1] if varies else np.zeros(len(means))
    more = np.outer(coefficients, coefficients) * (difference.var(ddof=1) - covariance[-1, -1])
    return means + coefficients * (difference.mean() - means[-1]), covariance + more


def error(state: PathState, pilot: Int[np.ndarray, " n"]) -> float:
    """Standard error that the largest rise would have if all examples were evaluated, in the unit of the losses."""
    return _largest_rise(state, pilot)[1]


def _largest_rise(state: PathState, pilot: Int[np.ndarray, " n"]) -> tuple[int, float]:
    """Which of the t in use has it, and its standard error if all examples were evaluated."""
    means, covariance = moments(state, pilot)
    top = int(means[:-1].argmax())
    return top, float(np.sqrt(covariance[top, top].clip(min=0) / state.path.ends.shape[1]))


def halfwidth(states: list[PathState], pilot: Int[np.ndarray, " n"]) -> float:
    """Half-width of the 95 % interval of the mean of the largest rises if all examples were evaluated.

    Pairs share their examples, so their deviations are added example by example.
    """
    each = []
    for state in states:
        top, of_all = _largest_rise(state, pilot)
        own = paired.influences(top, paired.components(state.t[state.used], state.profile[:, pilot]))
        each.append(own * of_all / max(np.sqrt((own**2).sum()), np.finfo(float).tiny))
    return float(ONE_LOOK * np.sqrt((np.mean(each, axis=0) ** 2).sum())) if each else 0.0


def allocation(
    state: PathState, pilot: Int[np.ndarray, " n"], counts: tuple[int, ...], precise: tuple[str, ...]
) -> Allocation:
    """Number of examples for each t between the ends, so that the intervals of these definitions are narrow enough.

    An interval depends on the contrasts that may be the maximum, as estimated from what is known at all t.

    Args:
        state: A path.
        pilot: Examples that are known at all t in use.
        counts: As in :func:`landscape.profile.allocation.allocate`.
        precise: Names of the definitions.
    """
    used, pieces = state.used, state.path.pieces
    means, covariance = moments(state, pilot)
    rows, errors = [], []
    for definition in precise:
        module = barrier.load(definition)
        interpolation = nodes.interpolant(used, pieces, np.linspace(0, 1, MAX_COARSE) if module.COARSE else None)
        if module.available(interpolation.t):
            contrasts, _ = barrier.contrasts(definition, interpolation.t)
            own = barrier.over_components(contrasts, interpolation)
            smaller = (own @ means).argmin(axis=1)
            own = np.take_along_axis(own, smaller[:, None, None], axis=1)[:, 0]
            own = own[np.argsort(-(own @ means), kind="stable")[:MAX_CONTRASTS]]
            all_of, apart = (np.sqrt(variances(one, covariance)) for one in (own, own - own[0]))
            wider = WIDER_OF_MANY if module.COARSE else WIDER
            rows.append(own)
            errors.append(allowed(own @ means, all_of / counts[-1] ** 0.5, apart / len(pilot) ** 0.5, wider))
    inner = [*range(1, len(used) - 1), len(used)]
    free = np.arange(len(inner)) == len(inner) - 1
    found = allocate(
        covariance[np.ix_(inner, inner)], np.concatenate(rows)[:, inner], np.concatenate(errors), free, counts
    )
    return Allocation(found.whole[:-1], found.few)
