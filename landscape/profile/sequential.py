"""How many examples are enough: interim looks at growing numbers of examples, with an interval valid at every look.

It is allowed to stop when an interval is narrow, and to stop because of what a look shows: the critical value is that
of all looks together (a group-sequential design, Pocock 1977), not that of one look.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np

from landscape.shapes import Float, Int

PILOT = 32
GROWTH = 1.5
TAIL = 0.025
ONE_LOOK = NormalDist().inv_cdf(1 - TAIL)


def looks(examples: int, first: int = PILOT) -> tuple[int, ...]:
    """Numbers of examples at the looks: each 1.5 times the one before, the last all; no look adds a single example.

    >>> looks(300)
    (32, 48, 72, 108, 162, 243, 300)
    """
    out = [first if examples - first > 1 else examples]
    while out[-1] < examples:
        more = int(out[-1] * GROWTH)
        out.append(more if examples - more > 1 else examples)
    return tuple(out)


@cache
def critical(looks: tuple[int, ...]) -> float:
    """The ``c`` with ``P(max_k Z_k > c) = 0.025`` for the means at the looks, ``corr(Z_j, Z_k) = sqrt(n_j / n_k)``.

    In standard errors. The density of the running sum is integrated from look to look on a grid (Armitage, McPherson
    and Rowe 1969).
    """
    if len(looks) == 1:
        return ONE_LOOK
    from scipy import optimize, stats

    ends = stats.norm.isf(TAIL), stats.norm.isf(TAIL / len(looks))
    return float(optimize.brentq(lambda bound: _exceedance(bound, looks) - TAIL, *ends, xtol=1e-4))


def widening(looks: tuple[int, ...]) -> float:
    """Factor by which an interval for one look must be widened to hold at all looks: :func:`critical` over 1.96."""
    return critical(looks) / ONE_LOOK


def _exceedance(bound: float, looks: tuple[int, ...]) -> float:
    """Probability that the standardised mean exceeds the bound at any look."""
    from scipy import stats

    z = np.linspace(-8, bound, 401)
    step = z[1] - z[0]
    density = stats.norm.pdf(z)
    crossed = float(stats.norm.sf(bound))
    for before, now in zip(looks, looks[1:], strict=False):
        share = np.sqrt(before / now)
        rest = np.sqrt(1 - before / now)
        weights = density * step
        weights[[0, -1]] /= 2
        crossed += float(weights @ stats.norm.sf((bound - share * z) / rest))
        density = stats.norm.pdf((z[:, None] - share * z) / rest) @ weights / rest
    return crossed


def wanting(
    low: Float[np.ndarray, " read"],
    high: Float[np.ndarray, " read"],
    shares: Float[np.ndarray, "read t"],
    halfwidth: float,
) -> Int[np.ndarray, " wanting"]:
    """Which evaluated t need more examples for the interval of the maximum to become narrow.

    A t of the path is in question if its upper end lies so far above the highest lower end that the interval is too
    wide, or if it has the highest lower end. An evaluated t needs more examples if it causes more than the mean share
    of the variance at a t in question.

    Args:
        low: Lower end of the band at each t that is read.
        high: Upper end of it.
        shares: Variance at each of these t due to each evaluated t.
        halfwidth: Wanted half-width of the interval of the maximum, in the unit of the band.
    """
    in_question = high > low.max() + 2 * halfwidth
    in_question[low.argmax()] = True
    causes = shares[in_question]
    return np.flatnonzero((causes > causes.mean(axis=1, keepdims=True)).any(axis=0))
