"""Clusters of seeds that barriers separate, and whether behaviour goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import adjusted_rand_score

from landscape.shapes import Float, Int
from landscape.stages.association import intervals, permutations
from landscape.stages.association.by_seed import Association, Square, Squares, over_orders

LEAST = 5
"""Seeds that clusters are looked for in."""
MOST = 6
"""Clusters that are tried."""
LEVEL = 0.05
NULLS = 199
LEAST_AFFINITY = 1e-6
"""So that the graph of seeds stays in one piece."""


@dataclass(frozen=True)
class Clusters:
    """Clusters of one barrier matrix.

    Attributes:
        labels: Of each seed, numbered in the order in which they first come; all 0 if there is one cluster.
        silhouette: Mean silhouette of the best division into two or more.
        p: Share of matrices without clusters that can be divided as well.
    """

    labels: Int[np.ndarray, " seeds"]
    silhouette: float
    p: float


def clusters(barriers: Square, random: np.random.Generator) -> Clusters:
    """Spectral clusters of a barrier matrix, one of them unless more are shown.

    Affinities are ``exp(-B^2 / (2 m^2))`` with m the median barrier (Juneja et al. 2023, arXiv:2205.12411, take m = 1
    nat and always find two clusters). Of the divisions into k = 2, 3, ... that of the largest mean silhouette is
    taken, if it is larger than that of 95 % of the matrices without clusters of each of three kinds, so that neither
    a seed that is far from everyone nor a cloud of seeds is taken for clusters:

    - barriers dealt out anew among the pairs;
    - sums of what either seed brings, by least squares, and of residuals dealt out anew;
    - distances of points of one normal cloud, as wide in each direction as classical scaling finds the seeds to be.

    Args:
        barriers: Symmetric, zero on the diagonal.
        random: For the null distributions.
    """
    labels, best = divide(barriers)
    upper = np.triu_indices(len(barriers), 1)
    values = barriers[upper]
    base, residuals = _additive(barriers)
    widths = _scaled(barriers)

    def dealt() -> Float[np.ndarray, " pairs"]:
        return np.asarray(random.permutation(values))

    def added() -> Float[np.ndarray, " pairs"]:
        return np.asarray(np.maximum(base + random.permutation(residuals), 0))

    def cloud() -> Float[np.ndarray, " pairs"]:
        return np.asarray(pdist(random.standard_normal((len(barriers), len(widths))) * widths))

    p = 0.0
    for make in (dealt, added, cloud):
        null = divide(np.stack([squareform(make()) for _ in range(NULLS)]))[1]
        p = max(p, permutations.p_value(np.array([best, *null])))
        if p > LEVEL:  # one kind of matrix without clusters is enough
            return Clusters(np.zeros(len(barriers), int), float(best), p)
    first = [int(np.flatnonzero(labels == label)[0]) for label in labels]
    return Clusters(np.unique(first, return_inverse=True)[1], float(best), p)


def divide(barriers: Squares) -> tuple[Int[np.ndarray, "*worlds seeds"], Float[np.ndarray, "*worlds"]]:
    """The division of each matrix into two or more clusters of the largest mean silhouette, and this; -1 if none is.

    Spectral clustering as scikit-learn's with ``assign_labels="cluster_qr"`` (Damle et al. 2019), with one
    decomposition for all k, many matrices at once and no checks of the input, which takes a fiftieth of the time.

    Args:
        barriers: Symmetric matrices.
    """
    seeds = barriers.shape[-1]
    every = barriers.reshape(-1, seeds, seeds)
    scale = np.median(every[:, *np.triu_indices(seeds, 1)], axis=1)
    known = scale > 0
    affinity = np.exp(-(every**2) / (2 * np.where(known, scale, 1)[:, None, None] ** 2))
    affinity = np.maximum(affinity, LEAST_AFFINITY) * (1 - np.eye(seeds))
    degree = 1 / np.sqrt(affinity.sum(axis=-1, keepdims=True))
    vectors = np.linalg.eigh(affinity * degree * degree.mT)[1][..., ::-1]
    labels, best = np.zeros(every.shape[:2], int), np.full(len(every), -1.0)
    for k in range(2, min(MOST, seeds - 1) + 1):
        embedded = vectors[..., :k] * degree
        pivots = np.stack([qr(one.T, pivoting=True, mode="r", check_finite=False)[1][:k] for one in embedded])
        left, _, right = np.linalg.svd(np.take_along_axis(embedded, pivots[..., None], axis=1).mT)
        found = np.abs(embedded @ (left @ right)).argmax(axis=-1)
        score = silhouette(every, found)
        better = known & (score > best)
        labels, best = np.where(better[:, None], found, labels), np.where(better, score, best)
    return labels.reshape(barriers.shape[:-1]), best.reshape(barriers.shape[:-2])


def silhouette(distances: Squares, labels: Int[np.ndarray, "*worlds seeds"]) -> Float[np.ndarray, "*worlds"]:
    """Mean silhouette (Rousseeuw 1987), that of a cluster of one being 0; -1 where all are in one, or each in its own.

    Args:
        distances: Symmetric matrices.
        labels: Whole numbers from 0, which need not all be used.
    """
    groups = (labels[..., None] == np.arange(labels.max() + 1)).astype(float)
    sizes, totals = groups.sum(axis=-2), distances @ groups
    used = (sizes > 0).sum(axis=-1)
    size = np.take_along_axis(sizes, labels, axis=-1)
    own = np.take_along_axis(totals, labels[..., None], axis=-1)[..., 0] / np.maximum(size - 1, 1)
    others = np.where((groups > 0) | (sizes == 0)[..., None, :], np.inf, totals / np.maximum(sizes, 1)[..., None, :])
    other = np.where((used > 1)[..., None], others.min(axis=-1), 0)
    each = np.where(size == 1, 0.0, (other - own) / np.maximum(np.maximum(own, other), 1e-300))
    return np.where((used > 1) & (used < labels.shape[-1]), each.mean(axis=-1), -1.0)


def frozen(labels: Sequence[Int[np.ndarray, " seeds"]]) -> tuple[Float[np.ndarray, " steps"], int | None]:
    """Agreement of the clusters at each step with the last ones, and from which step on it is complete.

    Args:
        labels: Of each step, the seeds in one order.

    Returns:
        Adjusted Rand indices, and the number of the first step from which they stay 1; None if there is one cluster at
        the end, whose seeds cannot freeze.
    """
    agreement = np.array([adjusted_rand_score(labels[-1], here) for here in labels])
    if len(set(labels[-1].tolist())) == 1:
        return agreement, None
    apart = np.flatnonzero(agreement < 1 - permutations.SLACK)
    return agreement, int(apart[-1]) + 1 if len(apart) else 0


def by_cluster(
    labels: Int[np.ndarray, " seeds"],
    values: Float[np.ndarray, " seeds"],
    orders: Int[np.ndarray, "orders seeds"],
    given: Float[np.ndarray, " seeds"] | None = None,
) -> Association:
    """Does a score differ between clusters? Share of its variance that lies between them, against permuted seeds.

    The interval inverts the noncentral F distribution.

    Args:
        labels: Two clusters or more.
        values: Score of each seed.
        orders: As for the other tests.
        given: What is held fixed, such as the loss on the data of training: the score's residuals are permuted and
            rid of it again.
    """
    groups = (labels[:, None] == np.unique(labels)[None]).astype(float)
    fixed = np.ones((len(values), 1)) if given is None else np.column_stack([np.ones(len(values)), given])
    basis = np.linalg.qr(fixed)[0]
    residual = values - basis @ (basis.T @ values)
    moved = residual[orders]
    moved -= (moved @ basis) @ basis.T
    within_both = np.linalg.qr(np.column_stack([fixed, groups[:, 1:]]))[0]
    total = (moved**2).sum(axis=1)
    left = total - ((moved @ within_both) ** 2).sum(axis=1)
    statistics = np.divide(total - left, total, out=np.zeros(len(total)), where=total > 0)
    seeds, share = len(values), float(statistics[0])
    interval = intervals.of_share(share, groups.shape[1], seeds - within_both.shape[1])
    return over_orders("cluster" if given is None else "cluster given loss", share, interval, statistics, seeds)


def _additive(barriers: Square) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Least squares of ``a_i + a_j`` over the pairs, and the residuals at the size that noise of so many pairs has."""
    seeds = len(barriers)
    rows, columns = np.triu_indices(seeds, 1)
    design = np.zeros((len(rows), seeds))
    design[np.arange(len(rows)), rows] = design[np.arange(len(rows)), columns] = 1
    values = barriers[rows, columns]
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return fitted, (values - fitted) * np.sqrt(len(rows) / (len(rows) - seeds))


def _scaled(barriers: Square) -> Float[np.ndarray, " directions"]:
    """Standard deviations of the seeds in the directions of classical scaling."""
    seeds = len(barriers)
    centring = np.eye(seeds) - 1 / seeds
    sizes = np.linalg.eigvalsh(-centring @ barriers**2 @ centring / 2)
    return np.asarray(np.sqrt(np.maximum(sizes[sizes > 1e-9 * sizes.max()], 0) / (seeds - 1)))
