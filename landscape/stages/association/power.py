"""Power of a design: how often a test rejects in simulated worlds in which connectivity and behaviour are coupled."""

from __future__ import annotations

import numpy as np

from landscape.shapes import Float, Int
from landscape.stages.association import by_seed, matrices, permutations
from landscape.stages.association.by_seed import Dates, Square

WORLDS = 200
LEVEL = 0.05
LEAD = float(np.log(2))
"""Simulated lead: behaviour at twice the step."""
MAX_ORDERS = 499
"""Permutations of each simulated test."""
DRAWS = 20
"""Draws around each simulated onset."""
Orders = Int[np.ndarray, "orders seeds"]


def spread(at: Dates) -> float:
    """Standard deviation of true onsets over the seeds, in units of the axis; 0 if errors of dating explain it."""
    finite = np.where(np.isfinite(at), at, np.nan)
    finite = finite[~np.isnan(finite).all(axis=1)]
    if len(finite) < 2:
        return 0.0
    between = float(np.nanmedian(finite, axis=1).var(ddof=1))
    return float(np.sqrt(max(between - float(np.nanvar(finite, axis=1).mean()), 0.0)))


def onset(connectivity: Dates, behaviour: Dates, coupling: float, orders: Orders, random: np.random.Generator) -> float:
    """Power of the rank correlation of onsets, with the observed number of seeds, spread and errors of dating.

    Args:
        connectivity: Onsets, with draws.
        behaviour: The same.
        coupling: Correlation of the true onsets.
        orders: Permutations of the test.
        random: Source of randomness.

    Returns:
        Power, in [0, 1].
    """
    true = _coupled((WORLDS, len(connectivity)), coupling, random)
    c, b = (
        by_seed.ranks(_drawn(spread(at) * values, _blur(at), random)) for at, values
        in zip((connectivity, behaviour), true, strict=True)
    )  # fmt: skip
    affinity = np.einsum("swd,twd->wst", c, b) / DRAWS
    return _share(by_seed.swapped(affinity, orders[:MAX_ORDERS]))


def lead(differences: Float[np.ndarray, " seeds"], random: np.random.Generator) -> float:
    """Power to detect that behaviour comes at twice the step, with the observed spread of differences.

    Args:
        differences: Difference of the onsets of each seed, on the axis of training.
        random: Source of randomness.

    Returns:
        Power, in [0, 1].
    """
    seeds, width = len(differences), float(np.std(differences, ddof=1))
    flips = permutations.signs(seeds, MAX_ORDERS, random)
    return _share(np.abs((LEAD + width * random.standard_normal((WORLDS, seeds))) @ flips.T))


def matrix(a: Square, b: Square, coupling: float, orders: Orders, random: np.random.Generator) -> float:
    """Power of the Mantel test, for distances that are a mixture of the barriers and of permuted distances.

    Args:
        a: Barriers.
        b: Distances.
        coupling: Correlation of the mixture with the barriers.
        orders: Permutations of the test.
        random: Source of randomness.

    Returns:
        Power, in [0, 1].
    """
    few = orders[:MAX_ORDERS]
    x, y = (matrices.standardised(m) for m in (a, b))
    order = random.permuted(np.tile(np.arange(len(a)), (WORLDS, 1)), axis=1)
    mixed = coupling * x + np.sqrt(1 - coupling**2) * y[order[:, :, None], order[:, None, :]]
    return _share(matrices.statistics(np.broadcast_to(a, mixed.shape), mixed, few))


def _share(statistics: Float[np.ndarray, "worlds arrangements"]) -> float:
    """Share of the worlds in which the test rejects."""
    return float((permutations.p_values(statistics) <= LEVEL).mean())


def _coupled(shape: tuple[int, ...], coupling: float, random: np.random.Generator) -> Float[np.ndarray, "2 ..."]:
    """Correlated standard normal onsets of connectivity and behaviour."""
    own, other = random.standard_normal((2, *shape))
    return np.stack([own, coupling * own + np.sqrt(1 - coupling**2) * other])


def _blur(at: Dates) -> float:
    """Root mean square error of dating over the seeds; 0 if no seed is dated."""
    finite = np.where(np.isfinite(at), at, np.nan)
    finite = finite[~np.isnan(finite).all(axis=1)]
    return float(np.sqrt(np.nanvar(finite, axis=1).mean())) if len(finite) else 0.0


def _drawn(
    true: Float[np.ndarray, "worlds seeds"], error: float, random: np.random.Generator
) -> Float[np.ndarray, "seeds worlds draws"]:
    """Draws around estimates; both have the same error."""
    estimate = true.T + error * random.standard_normal(true.T.shape)
    return np.asarray(estimate[..., None] + error * random.standard_normal((*estimate.shape, DRAWS)))
