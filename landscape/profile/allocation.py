"""Which times of a profile need all examples, where others are known well enough from few.

Numbers in, numbers out. A mean is estimated by regression: what is known on few examples is a combination of what is
known on all, which has a small error, plus a rest, which is small itself (Cochran, Sampling Techniques, chapter 7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.shapes import Bool, Float

WIDER = 1.1
"""How much larger a standard error may be than if all examples were evaluated at all times."""


@dataclass(frozen=True)
class Allocation:
    """How many examples each part needs.

    Attributes:
        whole: Which parts need all examples.
        few: How many the others need.
    """

    whole: Bool[np.ndarray, " parts"]
    few: int


def allocate(
    parts: Float[np.ndarray, "parts pilot"],
    rows: Float[np.ndarray, "rows parts"],
    free: Bool[np.ndarray, " parts"],
    counts: tuple[int, ...],
) -> Allocation:
    """The cheapest way to know some means nearly as well as all examples at all parts would give them.

    Parts are given all examples one after the other, each time the one that helps the worst mean most, and for each
    choice the others get as few as suffice.

    Args:
        parts: Values of a pilot's examples.
        rows: Weights of the parts in each mean.
        free: Parts that are known on all examples already.
        counts: Numbers of examples that may be evaluated; the first is the pilot's, the last all.
    """
    pilot, every = counts[0], counts[-1]
    covariance = np.atleast_2d(np.cov(parts))
    whole = free.copy()
    best = Allocation(np.ones(len(free), dtype=bool), every)
    least = float((~free).sum() * every)
    while not whole.all() and (whole & ~free).sum() * every < least:
        candidates = np.flatnonzero(~whole).tolist()
        ratios = [_needed(covariance, rows, _with(whole, k), every, pilot) for k in candidates]
        k = int(np.argmin(ratios))
        whole, needed = _with(whole, candidates[k]), ratios[k]
        few = next((count for count in counts if count >= needed), every)
        cost = float((whole & ~free).sum() * every + (~whole).sum() * few)
        if cost < least:
            best, least = Allocation(whole, few), cost
    return best


def _with(whole: Bool[np.ndarray, " parts"], k: int) -> Bool[np.ndarray, " parts"]:
    out = whole.copy()
    out[k] = True
    return out


def _needed(
    covariance: Float[np.ndarray, "parts parts"],
    rows: Float[np.ndarray, "rows parts"],
    whole: Bool[np.ndarray, " parts"],
    every: int,
    pilot: int,
) -> float:
    """Examples that the parts which are not whole need, so that no mean's error is wider than wanted."""
    known, rest = covariance[np.ix_(whole, whole)], covariance[np.ix_(~whole, ~whole)]
    shared = covariance[np.ix_(~whole, whole)]
    slopes = shared @ np.linalg.pinv(known, rcond=1e-10, hermitian=True)
    left = (rest - slopes @ shared.T) * (1 + whole.sum() / pilot)
    of_known = rows[:, whole] + rows[:, ~whole] @ slopes
    all_whole = np.einsum("rp,pq,rq->r", rows, covariance, rows) / every
    from_known = np.einsum("rp,pq,rq->r", of_known, known, of_known) / every
    from_rest = np.einsum("rp,pq,rq->r", rows[:, ~whole], left, rows[:, ~whole]).clip(min=0)
    room = WIDER**2 * all_whole - from_known
    tiny = 1e-12 * max(float(all_whole.max(initial=0)), 1e-300)
    wanted = np.divide(from_rest, room, out=np.full_like(room, np.inf), where=room > tiny)
    return float(np.where(from_rest <= tiny, 0.0, wanted).max(initial=0))
