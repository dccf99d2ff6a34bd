"""What a design could have found: simulated worlds in which connectivity and behaviour do go together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from landscape.shapes import Float, Int
from landscape.stages import association, matrices, permutations
from landscape.stages.association import Square, Times

WORLDS = 200
LEVEL = 0.05
LEAD = float(np.log(2))
"""The lead to be found: behaviour at twice the step."""
MOST_ORDERS = 499
Orders = Int[np.ndarray, "orders seeds"]
Grid = Float[np.ndarray, "seeds grid"]


def spread(at: Times) -> float:
    """Standard deviation of onsets over the seeds, without that of their own uncertainty; 0 if this explains all."""
    finite = np.where(np.isfinite(at), at, np.nan)
    finite = finite[~np.isnan(finite).all(axis=1)]
    if len(finite) < 2:
        return 0.0
    between = float(np.nanmedian(finite, axis=1).var(ddof=1))
    return float(np.sqrt(max(between - float(np.nanvar(finite, axis=1).mean()), 0.0)))


def onset(connectivity: Times, behaviour: Times, coupling: float, orders: Orders, random: np.random.Generator) -> float:
    """Power of the rank correlation of onsets: as many seeds, as wide apart and as uncertain as those seen.

    Args:
        connectivity: Onsets, with draws.
        behaviour: The same.
        coupling: Correlation of the true onsets.
        orders: As for the test.
        random: Source of randomness.
    """
    true = _coupled((len(connectivity), WORLDS), coupling, random)
    c, b = (
        association.ranks(spread(at) * values + _blur(at) * random.standard_normal(values.shape))
        for at, values in zip((connectivity, behaviour), true, strict=True)
    )
    found = np.einsum("sw,osw->wo", c, b[orders[:MOST_ORDERS]])
    return float(np.mean([permutations.p_value(statistics) <= LEVEL for statistics in found]))


def trajectory(
    curves: tuple[Grid, Grid],
    onsets: tuple[Times, Times],
    step: float,
    coupling: float,
    orders: Orders,
    random: np.random.Generator,
) -> dict[str, float]:
    """Power of the tests of whole trajectories: mean curves, early or late by seed, and what is left of the curves.

    Args:
        curves: Of connectivity and behaviour on an even grid of ``log(step + 1)``.
        onsets: Of both, with draws.
        step: Spacing of the grid.
        coupling: As for :func:`onset`.
        orders: The same.
        random: The same.

    Returns:
        Power by test.
    """
    few, seeds = orders[:MOST_ORDERS], len(curves[0])
    grid = np.arange(curves[0].shape[1]) * step

    def late(mean: Float[np.ndarray, " grid"], by: Float[np.ndarray, " seeds"]) -> Grid:
        return np.stack([np.interp(grid - shift, grid, mean) for shift in by])

    parts = []
    for values, at in zip(curves, onsets, strict=True):
        middle = np.median(at, axis=1)
        shift = np.where(
            np.isfinite(middle), middle - np.mean(middle[np.isfinite(middle)] if np.isfinite(middle).any() else 0), 0
        )
        mean = values.mean(axis=0)
        parts.append((mean, values - late(mean, shift), spread(at)))

    def once() -> tuple[float, float]:
        true = _coupled((seeds,), coupling, random)
        x, y = (
            late(mean, width * early) + residual[random.integers(seeds, size=seeds)]
            for (mean, residual, width), early in zip(parts, true, strict=True)
        )
        swaps = association.swapped(association.likeness(x, y), few)
        apart = matrices.statistics(matrices.between(x), matrices.between(y), few)
        return permutations.p_value(swaps), permutations.p_value(apart)

    p = np.array([once() for _ in range(WORLDS // 2)])
    own, apart = (p <= LEVEL).mean(axis=0)
    return {"trajectory": float(own), "match": float(own), "trajectory distance": float(apart)}


def lead(differences: Float[np.ndarray, " seeds"], random: np.random.Generator) -> float:
    """Power to find that behaviour comes at twice the step, with differences as wide as those seen.

    Args:
        differences: Of the onsets of each seed, in ``log(step + 1)``.
        random: Source of randomness.
    """
    seeds, width = len(differences), float(np.std(differences, ddof=1))
    flips = permutations.signs(seeds, MOST_ORDERS, random)
    return _share(lambda: permutations.p_value(np.abs(flips @ (LEAD + width * random.standard_normal(seeds)))))


def matrix(a: Square, b: Square, coupling: float, orders: Orders, random: np.random.Generator) -> float:
    """Power of the Mantel test: distances that are partly barriers, the rest being those seen with seeds permuted.

    Args:
        a: Barriers.
        b: Distances.
        coupling: Share, as a correlation.
        orders: As for the test.
        random: Source of randomness.
    """
    few = orders[:MOST_ORDERS]
    x, y = (matrices.standardised(m) for m in (a, b))

    def once() -> float:
        order = random.permutation(len(a))
        mixed = coupling * x + np.sqrt(1 - coupling**2) * y[order][:, order]
        return permutations.p_value(matrices.statistics(a, mixed, few))

    return _share(once)


def _share(once: Callable[[], float]) -> float:
    return float(np.mean([once() <= LEVEL for _ in range(WORLDS)]))


def _coupled(shape: tuple[int, ...], coupling: float, random: np.random.Generator) -> Float[np.ndarray, "2 ..."]:
    """Standard normal onsets of both, correlated."""
    own, other = random.standard_normal((2, *shape))
    return np.stack([own, coupling * own + np.sqrt(1 - coupling**2) * other])


def _blur(at: Times) -> float:
    """Standard deviation of the uncertainty of an onset, over the seeds' mean; 0 where none is dated."""
    finite = np.where(np.isfinite(at), at, np.nan)
    finite = finite[~np.isnan(finite).all(axis=1)]
    return float(np.sqrt(np.nanvar(finite, axis=1).mean())) if len(finite) else 0.0
