"""Which t of a profile need all examples, and how few examples are enough for the others.

Numbers in, numbers out. A mean is estimated by regression: a component evaluated on few examples is a combination of
components evaluated on all, whose error is small, plus a residual, which is small itself (Cochran, Sampling Techniques,
chapter 7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.profile.paired import inflation, regressors
from landscape.profile.sequential import ONE_LOOK
from landscape.shapes import Bool, Float

WIDER, WIDER_OF_MANY = 1.06, 1.04
"""How much larger the error of the largest contrast may be than if all examples were evaluated at all t; less where
there are so many contrasts that the band which holds all of them grows with their independent errors."""
HIGHER = 2.0
"""Standard errors by which the distance of a mean from the largest may be smaller than it seems."""
ROUNDING = 1e-10
"""Share of the largest variance below which another is rounding."""
TINY = np.finfo(float).tiny


@dataclass(frozen=True)
class Allocation:
    """How many examples each component needs.

    Attributes:
        whole: Which components need all examples.
        few: Number of examples that the others need.
    """

    whole: tuple[bool, ...]
    few: int

    def evaluations(self, examples: int) -> int:
        """Number of examples that are evaluated, summed over components, of so many in all."""
        return sum(examples if whole else self.few for whole in self.whole)


def variances(
    rows: Float[np.ndarray, "rows components"], covariance: Float[np.ndarray, "components components"]
) -> Float[np.ndarray, " rows"]:
    """Variance of each weighted sum of components, in the unit of the covariance."""
    return np.asarray(np.einsum("rp,rp->r", rows @ covariance, rows).clip(min=0))


def allowed(
    means: Float[np.ndarray, " rows"],
    errors: Float[np.ndarray, " rows"],
    apart: Float[np.ndarray, " rows"],
    wider: float = WIDER,
) -> Float[np.ndarray, " rows"]:
    """Largest standard errors of means at which the interval of their maximum is hardly wider.

    Its upper end is the highest upper end of a mean. One that is below may have a larger error, until it reaches there.

    Args:
        means: The means, in any unit.
        errors: Their standard errors on all examples.
        apart: Standard errors of their distances from the largest mean.
        wider: How much larger the error of the mean with the highest upper end may be.
    """
    upper = means + ONE_LOOK * errors
    may_be = np.minimum(means + HIGHER * apart, means.max(initial=-np.inf))
    return np.asarray(np.maximum(errors, (upper.max() - may_be) / ONE_LOOK) + (wider - 1) * errors[upper.argmax()])


def allocate(
    covariance: Float[np.ndarray, "components components"],
    rows: Float[np.ndarray, "rows components"],
    errors: Float[np.ndarray, " rows"],
    free: Bool[np.ndarray, " components"],
    counts: tuple[int, ...],
) -> Allocation:
    """The cheapest allocation that estimates some means as precisely as wanted.

    Components get all examples one after the other, each time the one that helps the worst mean most; then each is
    exchanged for a better one. For each such choice the others get as few examples as are enough. Where a mean of
    variance ``V / N`` on all ``N`` examples has a part of variance ``S / N`` that a regression on the whole components
    leaves, it needs ``n`` examples of the others with ``(V - S) / N + f S / n = error ** 2``; ``f`` is
    :func:`landscape.profile.paired.inflation`. No more components are whole than the known examples let others be
    regressed on.

    Args:
        covariance: Of the components of one example.
        rows: Weights of the components in each mean.
        errors: Largest standard error of each mean; with all examples it is below.
        free: Components that are known on all examples already.
        counts: Numbers of examples that may be evaluated; the first is the number of those known, the last all.
    """
    known, every = counts[0], counts[-1]
    variance, always = variances(rows, covariance), np.flatnonzero(free).tolist()
    room = (every * errors**2 - variance).clip(min=0)
    tiny, rounding = (max(ROUNDING * some.max(initial=0), TINY) for some in (variance, covariance.diagonal()))

    def shares(chosen: list[int]) -> tuple[float, Float[np.ndarray, " components"]]:
        """Share of all examples that the others need: with these whole, and with each further one."""
        left = covariance
        for k in (*always, *chosen):
            left = left - np.outer(left[k], left[k]) / max(left[k, k], rounding)  # a Schur complement
        residual = variances(rows, left)
        found = (rows @ left).T ** 2 / np.maximum(left.diagonal(), rounding)[:, None]
        more = _share(residual - found, room, tiny)
        more[[*always, *chosen]] = np.inf
        return float(_share(residual, room, tiny)), more

    best, lowest, chosen = Allocation((True,) * len(free), every), np.inf, list[int]()
    while len(chosen) * every < lowest and len(always) + len(chosen) <= regressors(known):
        share, more = shares(chosen)
        whole, others = {*always, *chosen}, len(free) - len(always) - len(chosen)
        needed = share * inflation(known, len(whole)) * every
        few = next((count for count in counts if count >= needed), every)
        if (cost := len(chosen) * every + others * few) < lowest:
            best, lowest = Allocation(tuple(k in whole for k in range(len(free))), few), cost
        if not others:
            break
        chosen = [*chosen, int(more.argmin())]
        for _ in chosen:
            chosen = [*chosen[1:], int(shares(chosen[1:])[1].argmin())]
    return best


def _share(
    residual: Float[np.ndarray, "*choices rows"], room: Float[np.ndarray, " rows"], tiny: float
) -> Float[np.ndarray, " *choices"]:
    """Share of all examples that the mean which needs most needs of the components that are regressed on others."""
    share = np.divide(residual, room + residual, out=np.zeros_like(residual), where=residual > tiny)
    return np.asarray(share.max(axis=-1, initial=0))
