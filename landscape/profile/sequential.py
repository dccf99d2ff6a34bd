"""How many examples are enough: looks at growing numbers of them, with an interval that holds at every look.

Stopping when an interval is narrow, and stopping at a look because of what it shows, are both allowed: the
critical value is that of all looks together (group-sequential, Pocock 1977), not that of one.
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
    """Numbers of examples to look at: each half as many again, the last all; no look adds one alone.

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

    By integrating the density of the running sum from look to look (Armitage, McPherson and Rowe 1969), on a grid.
    """
    if len(looks) == 1:
        return ONE_LOOK
    from scipy import optimize, stats

    ends = stats.norm.isf(TAIL), stats.norm.isf(TAIL / len(looks))
    return float(optimize.brentq(lambda bound: _crossing(bound, looks) - TAIL, *ends, xtol=1e-4))


def widening(looks: tuple[int, ...]) -> float:
    """What an interval for one look is to be widened by to hold at all: :func:`critical` over 1.96."""
    return critical(looks) / ONE_LOOK


def _crossing(bound: float, looks: tuple[int, ...]) -> float:
    """Chance that the standardised mean exceeds the bound at any look."""
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
    """Which evaluated times need more examples for the interval of the maximum to become narrow.

    A place of the path is in question if it may lie so far above what is certain that the interval is too wide, or if
    it is the place that is certain. A time needs more if it has more than an even share in the variance there.

    Args:
        low: Lower end of the band at each place.
        high: Upper end of it.
        shares: Variance at each place that comes from each evaluated time.
        halfwidth: Wanted half-width of the interval of the maximum.
    """
    in_question = high > low.max() + 2 * halfwidth
    in_question[low.argmax()] = True
    asked = shares[in_question]
    return np.flatnonzero((asked > asked.mean(axis=1, keepdims=True)).any(axis=0))
