"""Which t of a profile need all examples, and how few examples are enough for the others.

Numbers in, numbers out. A mean is estimated by regression: a component evaluated on few examples is a combination of
components evaluated on all, whose error is small, plus a residual, which is small itself (Cochran, Sampling Techniques,
chapter 7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.shapes import Bool, Float

WIDER = 1.1
"""How much larger a standard error may be than if all examples were evaluated at all t."""


@dataclass(frozen=True)
class Allocation:
    """How many examples each component needs.

    Attributes:
        whole: Which components need all examples.
        few: Number of examples that the others need.
    """

    whole: Bool[np.ndarray, " components"]
    few: int


def allocate(
    values: Float[np.ndarray, "components pilot"],
    rows: Float[np.ndarray, "rows components"],
    free: Bool[np.ndarray, " components"],
    counts: tuple[int, ...],
) -> Allocation:
    """The cheapest allocation that estimates some means nearly as well as all examples of all components would.

    Components get all examples one after the other, each time the one that helps the worst mean most. For each such
    choice the others get as few examples as are enough.

    Args:
        values: Values of the components on the examples of a pilot.
        rows: Weights of the components in each mean.
        free: Components that are known on all examples already.
        counts: Numbers of examples that may be evaluated; the first is the pilot's, the last all.
    """
    pilot, every = counts[0], counts[-1]
    covariance = np.atleast_2d(np.cov(values))
    whole = free.copy()
    best = Allocation(np.ones(len(free), dtype=bool), every)
    lowest = float((~free).sum() * every)
    while not whole.all() and (whole & ~free).sum() * every < lowest:
        candidates = np.flatnonzero(~whole).tolist()
        ratios = [_needed(covariance, rows, _with(whole, k), every, pilot) for k in candidates]
        k = int(np.argmin(ratios))
        whole, needed = _with(whole, candidates[k]), ratios[k]
        few = next((count for count in counts if count >= needed), every)
        cost = float((whole & ~free).sum() * every + (~whole).sum() * few)
        if cost < lowest:
            best, lowest = Allocation(whole, few), cost
    return best


def _with(whole: Bool[np.ndarray, " components"], k: int) -> Bool[np.ndarray, " components"]:
    out = whole.copy()
    out[k] = True
    return out


def _needed(
    covariance: Float[np.ndarray, "components components"],
    rows: Float[np.ndarray, "rows components"],
    whole: Bool[np.ndarray, " components"],
    every: int,
    pilot: int,
) -> float:
    """Number of examples that the components without all examples need for every mean to be precise enough."""
    known, rest = covariance[np.ix_(whole, whole)], covariance[np.ix_(~whole, ~whole)]
    shared = covariance[np.ix_(~whole, whole)]
    coefficients = shared @ np.linalg.pinv(known, rcond=1e-10, hermitian=True)
    left = (rest - coefficients @ shared.T) * (1 + whole.sum() / pilot)
    of_known = rows[:, whole] + rows[:, ~whole] @ coefficients
    all_whole = np.einsum("rp,pq,rq->r", rows, covariance, rows) / every
    from_known = np.einsum("rp,pq,rq->r", of_known, known, of_known) / every
    from_rest = np.einsum("rp,pq,rq->r", rows[:, ~whole], left, rows[:, ~whole]).clip(min=0)
    room = WIDER**2 * all_whole - from_known
    tiny = 1e-12 * max(float(all_whole.max(initial=0)), 1e-300)
    wanted = np.divide(from_rest, room, out=np.full_like(room, np.inf), where=room > tiny)
    return float(np.where(from_rest <= tiny, 0.0, wanted).max(initial=0))
