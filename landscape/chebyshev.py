"""Where to look along a path: nested Chebyshev points, doubled until the profile between them is known.

Numbers in, numbers out. The points of a level are among those of the next, so nothing is evaluated twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.shapes import Float

LEVELS = (3, 5, 9, 17, 33)
"""Points on each piece of a path."""
FIRST = 2
"""The level to start from: fewer points do not show how fast coefficients fall."""
MARGIN = 3.5
"""Factor on what is left out, with which it is above the true error in 99 of 100 profiles of many kinds."""
SLOWEST = float(np.log(0.98))
"""Fall of coefficients, from one to the next on a logarithmic scale, that is taken for the slowest."""
FINE = 8
"""Even steps, for each point of a piece, at which the interpolant is read."""


def nodes(level: int, pieces: int = 1) -> Float[np.ndarray, " t"]:
    """Chebyshev points of the second kind, ``t_k = (1 - cos(pi k / n)) / 2``, on each of equal pieces of [0, 1].

    Args:
        level: Position in ``LEVELS``.
        pieces: Where the path has corners, its profile has too, and a polynomial must not run through them.

    >>> nodes(0, pieces=2).round(3).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    n = LEVELS[level] - 1
    one = np.round((1 - np.cos(np.pi * np.arange(n + 1) / n)) / 2, 15)
    return np.unique(np.concatenate([(piece + one) / pieces for piece in range(pieces)]))


@dataclass(frozen=True)
class Reading:
    """A profile between the times at which it was evaluated.

    Attributes:
        times: Where it is read; 0 and 1 are among them.
        matrix: Weight of each evaluated time.
    """

    times: Float[np.ndarray, " read"]
    matrix: Float[np.ndarray, "read t"]


def as_it_is(t: Float[np.ndarray, " t"]) -> Reading:
    """The reading of a fixed grid: only where it was evaluated."""
    return Reading(t, np.eye(len(t)))


def interpolant(level: int, pieces: int = 1, times: Float[np.ndarray, " read"] | None = None) -> Reading:
    """The polynomial through the points of a level, piece by piece.

    Args:
        level: Position in ``LEVELS``.
        pieces: As in :func:`nodes`.
        times: Where to read; None is a fine even grid.
    """
    t, here = nodes(level, pieces), LEVELS[level]
    times = np.linspace(0, 1, FINE * (here - 1) * pieces + 1) if times is None else times
    matrix = np.zeros((len(times), len(t)))
    piece = np.minimum((times * pieces).astype(int), pieces - 1)
    for k in range(pieces):
        own = slice(k * (here - 1), k * (here - 1) + here)
        matrix[piece == k, own] = _barycentric(t[own], times[piece == k])
    return Reading(times, matrix)


def _barycentric(
    nodes: Float[np.ndarray, " nodes"], times: Float[np.ndarray, " read"]
) -> Float[np.ndarray, "read nodes"]:
    """Values at some times of the polynomials that are one at a Chebyshev point and zero at all others.

    By the second form of the barycentric formula, whose weights are ``(-1)^k``, halved at the ends (Salzer 1972).
    """
    weights = np.where(np.arange(len(nodes)) % 2, -1.0, 1.0)
    weights[[0, -1]] /= 2
    apart = times[:, None] - nodes
    at_node = apart == 0
    terms = weights / np.where(at_node, 1.0, apart)
    terms = np.where(at_node.any(axis=1, keepdims=True), at_node, terms)
    return np.asarray(terms / terms.sum(axis=1, keepdims=True))


def error(means: Float[np.ndarray, " t"], level: int, pieces: int = 1) -> float:
    """How far the interpolant may be from the profile, judged by how its Chebyshev coefficients fall.

    The coefficients of a smooth profile fall as ``C rho^k``. What is left out is about ``C rho^n / (1 - rho)``, with C
    and rho from the envelope ``max(|c_k|, |c_(k+1)|, ...)`` of the last half, once by its ends and once by least
    squares; the larger counts, with a margin of :data:`MARGIN`. Nine points have few coefficients to judge by: there
    the error is also at least ``d1 * 2 q / (1 - q)``, but no less than half of ``d1`` and no more than three times it,
    where ``d1`` and ``d0`` are the largest changes at the last doubling and at the one before, and ``q = d1 / d0``. It
    is about the whole profile and so about its maximum; to it comes what the maximum may rise between two times of
    reading. A peak that lies between all points, narrower than they are apart, is not seen.

    Args:
        means: Mean loss at the nodes of the level.
        level: At least ``FIRST``.
        pieces: As in :func:`nodes`.
    """
    n, reading = LEVELS[level] - 1, interpolant(level, pieces)
    now = reading.matrix @ means
    left_out = MARGIN * max(_tail(means[k * n : (k + 1) * n + 1]) for k in range(pieces))
    if level == FIRST:
        before, first = (interpolant(level - k, pieces, reading.times).matrix @ means[:: 2**k] for k in (1, 2))
        d1, d0 = float(np.abs(now - before).max()), float(np.abs(before - first).max())
        q = min(d1 / d0, 0.95) if d0 > 0 else 0.95
        left_out = max(left_out, d1 * float(np.clip(2 * q / (1 - q), 0.5, 3)))
    return left_out + float(np.abs(np.diff(now, 2)).max()) / 8


def _tail(values: Float[np.ndarray, " nodes"]) -> float:
    """Sum of the Chebyshev coefficients beyond those of the polynomial through some values at Chebyshev points."""
    n = len(values) - 1
    halved = np.where(np.arange(n + 1) % n == 0, 0.5, 1.0)
    turns = np.cos(np.pi * np.outer(np.arange(n + 1), np.arange(n + 1)) / n)
    sizes = np.abs(2 / n * halved * (turns @ (halved * values)))
    envelope = np.maximum.accumulate(sizes[::-1])[::-1][n // 2 : n]
    if envelope[-1] <= 1e-14 * sizes.max(initial=0):
        return 0.0
    logs, k = np.log(envelope), np.arange(n // 2, n)
    fitted = np.polynomial.Polynomial.fit(k, logs, 1).convert().coef
    slope = fitted[1] if len(fitted) > 1 else 0.0
    by_ends = logs[-1], (logs[-1] - logs[0]) / (len(k) - 1)
    by_fit = fitted[0] + slope * (n - 1), slope
    rests = (last + min(fall, SLOWEST) - np.log(-np.expm1(min(fall, SLOWEST))) for last, fall in (by_ends, by_fit))
    return float(np.exp(max(rests)))
