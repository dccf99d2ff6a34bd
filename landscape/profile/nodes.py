"""Where to evaluate along a path: Chebyshev points first, and more between them where the profile is not resolved yet.

Numbers in, numbers out. A node is an index into a fine grid of Chebyshev points on each piece of the path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.shapes import Float, Int

STEPS, FIRST, FINEST = 128, 16, 2
"""Steps of the fine grid on each piece; how many of them lie between two nodes at first, and at the least."""
SHOWN = 4
"""Steps between two t at which a profile is shown."""
NEAREST = 8
"""Nodes through which the polynomial at a t runs: its degree is 7."""
CHECKS = 2
"""Checks around the maximum, and on each piece where polynomials of two degrees differ most."""
MARGIN = 2.4
"""Factor on the largest error at the checks."""
FINE = 8
"""Even steps per node of a piece at which a profile is read."""

Indices = Int[np.ndarray, " nodes"]
Means = Float[np.ndarray, " nodes"]


def grid(pieces: int = 1) -> Float[np.ndarray, " grid"]:
    """Chebyshev points of the second kind, ``t_k = (1 - cos(pi k / n)) / 2``, on each of equal pieces of [0, 1].

    Args:
        pieces: Number of pieces between the corners of a path. Its profile has corners there too, and no polynomial
            may run across one.

    >>> grid(2)[::64].round(3).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    one = np.round((1 - np.cos(np.pi * np.arange(STEPS + 1) / STEPS)) / 2, 15)
    return np.unique(np.concatenate([(piece + one) / pieces for piece in range(pieces)]))


def first(pieces: int = 1) -> Indices:
    """The initial nodes: nine on each piece."""
    return np.arange(0, STEPS * pieces + 1, FIRST)


@dataclass(frozen=True)
class Interpolation:
    """How a profile is read between the t at which it was evaluated.

    Attributes:
        t: Where it is read, in [0, 1]; 0 and 1 are among them.
        matrix: Weight of each evaluated t.
    """

    t: Float[np.ndarray, " read"]
    matrix: Float[np.ndarray, "read t"]


def identity(t: Float[np.ndarray, " t"]) -> Interpolation:
    """The interpolation of a fixed grid, which is read only where it was evaluated."""
    return Interpolation(t, np.eye(len(t)))


def interpolant(
    at: Indices, pieces: int = 1, read: Float[np.ndarray, " read"] | None = None, nearest: int = NEAREST
) -> Interpolation:
    """The polynomial through the nearest nodes, half of them on either side where there are enough.

    Args:
        at: The nodes, increasing; the ends of all pieces are among them.
        pieces: As in :func:`grid`.
        read: The t at which to read, in [0, 1]; None is a fine even grid.
        nearest: Number of nodes of a polynomial; fewer where a piece has fewer.
    """
    t = grid(pieces)[at]
    if read is None:
        read = np.linspace(0, 1, FINE * pieces * -(-(len(at) - 1) // pieces) + 1)
    matrix = np.zeros((len(read), len(t)))
    piece = np.minimum((read * pieces).astype(int), pieces - 1)
    for k in range(pieces):
        own = np.flatnonzero((at >= k * STEPS) & (at <= (k + 1) * STEPS))
        inside = np.flatnonzero(piece == k)
        count = min(nearest, len(own))
        left = np.searchsorted(t[own], read[inside], side="right") - count // 2
        window = own[left.clip(0, len(own) - count)[:, None] + np.arange(count)]
        matrix[inside[:, None], window] = _lagrange(t[window], read[inside])
    return Interpolation(read, matrix)


def _lagrange(
    nodes: Float[np.ndarray, "read nodes"], read: Float[np.ndarray, " read"]
) -> Float[np.ndarray, "read nodes"]:
    """Values of the polynomials that are one at a node and zero at the others; each t has its own nodes."""
    apart = nodes[:, :, None] - nodes[:, None, :]
    ratios = (read[:, None, None] - nodes[:, None, :]) / np.where(apart == 0, 1, apart)
    return np.asarray(np.where(apart == 0, 1, ratios).prod(axis=2))


def checks(at: Indices, means: Means, pieces: int = 1) -> Int[np.ndarray, " checks"]:
    """The indices at which to check an interpolant: those that tell most about its error.

    These are the ones next to its maximum, on which a barrier depends, and on each piece those at which it differs most
    from an interpolant of lower degree.

    Args:
        at: The nodes.
        means: Mean rise at the nodes, in the unit of the losses.
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
    at: Indices,
    means: Means,
    checks: Int[np.ndarray, " checks"],
    checked: Float[np.ndarray, " checks"],
    pieces: int = 1,
) -> float:
    """Error of the interpolant in the unit of the losses: :data:`MARGIN` times its largest error at the checks.

    This bounds the error of the whole profile, and so that of its maximum. Added to it is how much the interpolant may
    rise above its largest value between two of the t at which it is read. A peak that is narrower than the distance
    between nodes and lies between them is not detected.

    Args:
        at: The nodes.
        means: Mean rise at the nodes, in the unit of the losses.
        checks: Indices of the checks.
        checked: Mean rise at the checks, in the unit of the losses.
        pieces: As in :func:`grid`.
    """
    difference = float(np.abs(_at(at, means, checks, pieces) - checked).max())
    now = interpolant(at, pieces).matrix @ means
    top = int(now.argmax())
    at_corner = top % ((len(now) - 1) // pieces) == 0
    return MARGIN * difference + (0.0 if at_corner else abs(float(now[top - 1] - 2 * now[top] + now[top + 1])) / 8)


def refined(
    at: Indices,
    means: Means,
    checks: Int[np.ndarray, " checks"],
    checked: Float[np.ndarray, " checks"],
    tolerance: float,
    pieces: int = 1,
) -> Int[np.ndarray, " more"]:
    """The next nodes: the present ones, the checks, and all between them at which the error is above the tolerance.

    The error is taken to be proportional to the difference of polynomials of two degrees, with the factor found at the
    checks.

    Args:
        at: The nodes.
        means: Mean rise at the nodes, in the unit of the losses.
        checks: Indices of the checks.
        checked: Mean rise at the checks, in the unit of the losses.
        tolerance: Largest error, as :func:`error` states it.
        pieces: As in :func:`grid`.

    Returns:
        The nodes; the same as before where the finest grid is reached.
    """
    between = _between(at)
    difference = np.abs(_at(at, means, checks, pieces) - checked)
    change = _change(at, means, between, pieces)
    largest = change[np.isin(between, checks)].max()
    wanted = between[change * difference.max() * MARGIN > tolerance * largest]
    more = np.concatenate([wanted, checks])
    return np.union1d(at, more[more % FINEST == 0])


def _between(at: Indices) -> Int[np.ndarray, " gaps"]:
    """Indices in the middle between nodes."""
    return np.asarray((at[:-1] + at[1:]) // 2)


def _at(at: Indices, means: Means, where: Int[np.ndarray, " indices"], pieces: int) -> Float[np.ndarray, " indices"]:
    return np.asarray(interpolant(at, pieces, grid(pieces)[where]).matrix @ means)


def _change(
    at: Indices, means: Means, where: Int[np.ndarray, " indices"], pieces: int
) -> Float[np.ndarray, " indices"]:
    """How much polynomials of two degrees differ."""
    lower = interpolant(at, pieces, grid(pieces)[where], nearest=NEAREST // 2).matrix @ means
    return np.asarray(np.abs(_at(at, means, where, pieces) - lower))
