"""Where to look along a path: Chebyshev points, and more between them where the profile is not known yet.

Numbers in, numbers out. A point is a position on a fine grid of Chebyshev points on each piece of the path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.shapes import Float, Int

STEPS, FIRST, FINEST = 128, 16, 2
"""Steps of the fine grid on each piece; how many of them lie between two points at first, and at the least."""
SHOWN = 4
"""Steps between two places at which a profile is shown."""
NEAREST = 8
"""Points through which a profile is read at a time: a polynomial of degree 7."""
CHECKS = 2
"""Checks beside the maximum, and on each piece where polynomials of two degrees differ most."""
MARGIN = 2.4
"""Factor on the largest error at the checks."""
FINE = 8
"""Even steps, for each point of a piece, at which a profile is read."""

Positions = Int[np.ndarray, " points"]
Means = Float[np.ndarray, " points"]


def grid(pieces: int = 1) -> Float[np.ndarray, " grid"]:
    """Chebyshev points of the second kind, ``t_k = (1 - cos(pi k / n)) / 2``, on each of equal pieces of [0, 1].

    Args:
        pieces: Where the path has corners, its profile has too, and a polynomial must not run through them.

    >>> grid(2)[::64].round(3).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    one = np.round((1 - np.cos(np.pi * np.arange(STEPS + 1) / STEPS)) / 2, 15)
    return np.unique(np.concatenate([(piece + one) / pieces for piece in range(pieces)]))


def first(pieces: int = 1) -> Positions:
    """The positions to begin with: nine on each piece."""
    return np.arange(0, STEPS * pieces + 1, FIRST)


@dataclass(frozen=True)
class Interpolation:
    """A profile between the times at which it was evaluated.

    Attributes:
        t: Where it is read; 0 and 1 are among them.
        matrix: Weight of each evaluated time.
    """

    t: Float[np.ndarray, " read"]
    matrix: Float[np.ndarray, "read t"]


def identity(t: Float[np.ndarray, " t"]) -> Interpolation:
    """The reading of a fixed grid: only where it was evaluated."""
    return Interpolation(t, np.eye(len(t)))


def interpolant(
    at: Positions, pieces: int = 1, times: Float[np.ndarray, " read"] | None = None, nearest: int = NEAREST
) -> Interpolation:
    """The polynomial through the nearest points, half of them on either side where there are as many.

    Args:
        at: Positions of the points, rising; the ends of all pieces are among them.
        pieces: As in :func:`grid`.
        times: Where to read; None is a fine even grid.
        nearest: Through how many points; fewer where a piece has fewer.
    """
    t = grid(pieces)[at]
    if times is None:
        times = np.linspace(0, 1, FINE * pieces * -(-(len(at) - 1) // pieces) + 1)
    matrix = np.zeros((len(times), len(t)))
    piece = np.minimum((times * pieces).astype(int), pieces - 1)
    for k in range(pieces):
        own = np.flatnonzero((at >= k * STEPS) & (at <= (k + 1) * STEPS))
        here = np.flatnonzero(piece == k)
        count = min(nearest, len(own))
        left = np.searchsorted(t[own], times[here], side="right") - count // 2
        window = own[left.clip(0, len(own) - count)[:, None] + np.arange(count)]
        matrix[here[:, None], window] = _lagrange(t[window], times[here])
    return Interpolation(times, matrix)


def _lagrange(
    nodes: Float[np.ndarray, "read nodes"], times: Float[np.ndarray, " read"]
) -> Float[np.ndarray, "read nodes"]:
    """Values of the polynomials that are one at a node and zero at the others; each time has nodes of its own."""
    apart = nodes[:, :, None] - nodes[:, None, :]
    ratios = (times[:, None, None] - nodes[:, None, :]) / np.where(apart == 0, 1, apart)
    return np.asarray(np.where(apart == 0, 1, ratios).prod(axis=2))


def checks(at: Positions, means: Means, pieces: int = 1) -> Int[np.ndarray, " checks"]:
    """Where between its points an interpolant is most telling: on which positions to evaluate the profile next.

    Those beside its maximum, on which a barrier depends, and on each piece those at which it differs most from an
    interpolant of lower degree.

    Args:
        at: Positions of the points.
        means: Mean rise there.
        pieces: As in :func:`grid`.
    """
    between = _between(at)
    fine = interpolant(at, pieces)
    top = fine.t[(fine.matrix @ means).argmax()]
    chosen = [between[np.argsort(np.abs(grid(pieces)[between] - top), kind="stable")[:CHECKS]]]
    change = _change(at, means, between, pieces)
    for k in range(pieces):
        own = np.flatnonzero(between // STEPS == k)
        chosen.append(between[own[np.argsort(-change[own], kind="stable")[:CHECKS]]])
    return np.unique(np.concatenate(chosen))


def error(
    at: Positions,
    means: Means,
    checks: Int[np.ndarray, " checks"],
    seen: Float[np.ndarray, " checks"],
    pieces: int = 1,
) -> float:
    """How far the interpolant may be from the profile: :data:`MARGIN` times how far it is at the checks.

    It is about the whole profile and so about its maximum; to it comes what the interpolant may rise beside its largest
    value between two of these t. A peak that lies between all points and is narrower than they are apart is not seen.

    Args:
        at: Positions of the points.
        means: Mean rise there.
        checks: Positions of the checks.
        seen: Mean rise there.
        pieces: As in :func:`grid`.
    """
    off = float(np.abs(_at(at, means, checks, pieces) - seen).max())
    now = interpolant(at, pieces).matrix @ means
    top = int(now.argmax())
    at_corner = top % ((len(now) - 1) // pieces) == 0
    return MARGIN * off + (0.0 if at_corner else abs(float(now[top - 1] - 2 * now[top] + now[top + 1])) / 8)


def refined(
    at: Positions,
    means: Means,
    checks: Int[np.ndarray, " checks"],
    seen: Float[np.ndarray, " checks"],
    tolerance: float,
    pieces: int = 1,
) -> Int[np.ndarray, " more"]:
    """The points to go on with: the checks too, and all others between points where the error is above the tolerance.

    The error is taken to be proportional to the difference of polynomials of two degrees, by as much as at the checks.

    Args:
        at: Positions of the points.
        means: Mean rise there.
        checks: Positions of the checks.
        seen: Mean rise there.
        tolerance: Of the error as :func:`error` states it.
        pieces: As in :func:`grid`.

    Returns:
        The same positions where the finest grid is reached.
    """
    between = _between(at)
    off = np.abs(_at(at, means, checks, pieces) - seen)
    change = _change(at, means, between, pieces)
    most = change[np.isin(between, checks)].max()
    wanted = between[change * off.max() * MARGIN > tolerance * most]
    more = np.concatenate([wanted, checks])
    return np.union1d(at, more[more % FINEST == 0])


def _between(at: Positions) -> Int[np.ndarray, " gaps"]:
    """Positions half-way between points."""
    return np.asarray((at[:-1] + at[1:]) // 2)


def _at(at: Positions, means: Means, where: Int[np.ndarray, " places"], pieces: int) -> Float[np.ndarray, " places"]:
    return np.asarray(interpolant(at, pieces, grid(pieces)[where]).matrix @ means)


def _change(
    at: Positions, means: Means, where: Int[np.ndarray, " places"], pieces: int
) -> Float[np.ndarray, " places"]:
    """How much polynomials of two degrees differ."""
    lower = interpolant(at, pieces, grid(pieces)[where], nearest=NEAREST // 2).matrix @ means
    return np.asarray(np.abs(_at(at, means, where, pieces) - lower))
