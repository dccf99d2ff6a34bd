"""Clusters of seeds that are separated by barriers, and whether behaviour is associated with them."""

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

MIN_SEEDS = 5
"""Seeds that clustering needs."""
MAX_CLUSTERS = 6
"""Largest number of clusters that is tried."""
LEVEL = 0.05
NULLS = 199
"""Matrices that are drawn from each null distribution."""
MIN_AFFINITY = 1e-6
"""Keeps the graph of seeds connected."""


@dataclass(frozen=True)
class Clusters:
    """Clusters of one barrier matrix.

    Attributes:
        labels: Label of each seed, from 0 in order of first appearance; all 0 if there is one cluster.
        silhouette: Mean silhouette of the best division into two or more clusters, in [-1, 1].
        p: P value: share of matrices without clusters whose best division is as good.
    """

    labels: Int[np.ndarray, " seeds"]
    silhouette: float
    p: float


def clusters(barriers: Square, random: np.random.Generator) -> Clusters:
    """Spectral clusters of a barrier matrix; a single cluster unless a division is significant.

    Affinities are ``exp(-B^2 / (2 m^2))`` with m the median barrier (Juneja et al. 2023, arXiv:2205.12411, use m = 1
    nat and always two clusters). The division into k = 2, 3, ... clusters with the largest mean silhouette is taken. It
    is significant if its silhouette exceeds that of 95 % of the matrices from each of three null distributions. So
    neither one distant seed nor an unstructured cloud of seeds counts as clusters:

    - barriers permuted among the pairs;
    - sums of an effect of each seed, by least squares, and of permuted residuals;
    - distances of points from one normal distribution with the widths that classical scaling gives.

    Args:
        barriers: Symmetric matrix with a zero diagonal.
        random: Source of randomness, for the null distributions.
    """
    labels, best = divide(barriers)
    upper = np.triu_indices(len(barriers), 1)
    values = barriers[upper]
    base, residuals = _additive(barriers)
    widths = _scaled(barriers)

    def permuted() -> Float[np.ndarray, " pairs"]:
        return np.asarray(random.permutation(values))

    def additive() -> Float[np.ndarray, " pairs"]:
        return np.asarray(np.maximum(base + random.permutation(residuals), 0))

    def normal() -> Float[np.ndarray, " pairs"]:
        return np.asarray(pdist(random.standard_normal((len(barriers), len(widths))) * widths))

    p = 0.0
    for draw in (permuted, additive, normal):
        null = divide(np.stack([squareform(draw()) for _ in range(NULLS)]))[1]
        p = max(p, permutations.p_value(np.array([best, *null])))
        if p > LEVEL:  # one null distribution that explains the division is enough
            return Clusters(np.zeros(len(barriers), int), float(best), p)
    first = [int(np.flatnonzero(labels == label)[0]) for label in labels]
    return Clusters(np.unique(first, return_inverse=True)[1], float(best), p)


def divide(barriers: Squares) -> tuple[Int[np.ndarray, "*worlds seeds"], Float[np.ndarray, "*worlds"]]:
    """Division of each matrix into two or more clusters with the largest mean silhouette.

    Spectral clustering as in scikit-learn with ``assign_labels="cluster_qr"`` (Damle et al. 2019). One decomposition
    serves all k, matrices are batched, and inputs are not checked, which takes a fiftieth of the time.

    Args:
        barriers: Symmetric matrices.

    Returns:
        Labels, and mean silhouettes in [-1, 1]; the silhouette is -1 if there is no division.
    """
    seeds = barriers.shape[-1]
    every = barriers.reshape(-1, seeds, seeds)
    scale = np.median(every[:, *np.triu_indices(seeds, 1)], axis=1)
    known = scale > 0
    affinity = np.exp(-(every**2) / (2 * np.where(known, scale, 1)[:, None, None] ** 2))
    affinity = np.maximum(affinity, MIN_AFFINITY) * (1 - np.eye(seeds))
    degree = 1 / np.sqrt(affinity.sum(axis=-1, keepdims=True))
    vectors = np.linalg.eigh(affinity * degree * degree.mT)[1][..., ::-1]
    labels, best = np.zeros(every.shape[:2], int), np.full(len(every), -1.0)
    for k in range(2, min(MAX_CLUSTERS, seeds - 1) + 1):
        embedded = vectors[..., :k] * degree
        pivots = np.stack([qr(one.T, pivoting=True, mode="r", check_finite=False)[1][:k] for one in embedded])
        left, _, right = np.linalg.svd(np.take_along_axis(embedded, pivots[..., None], axis=1).mT)
        divided = np.abs(embedded @ (left @ right)).argmax(axis=-1)
        score = silhouette(every, divided)
        better = known & (score > best)
        labels, best = np.where(better[:, None], divided, labels), np.where(better, score, best)
    return labels.reshape(barriers.shape[:-1]), best.reshape(barriers.shape[:-2])


def silhouette(distances: Squares, labels: Int[np.ndarray, "*worlds seeds"]) -> Float[np.ndarray, "*worlds"]:
    """Mean silhouette (Rousseeuw 1987); a cluster of one seed has silhouette 0.

    Args:
        distances: Symmetric matrices.
        labels: Integers from 0, not all of which need to be used.

    Returns:
        Mean silhouettes in [-1, 1]; -1 if there is one cluster, or if each seed is its own.
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
    """Agreement of the clusters at each step with those at the last step, and when it becomes complete for good.

    Args:
        labels: Labels at each step, with the seeds in the same order.

    Returns:
        Adjusted Rand indices (at most 1), and the index of the first step from which they stay 1. This is None if there
        is one cluster at the end.
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
    held_fixed: Float[np.ndarray, " seeds"] | None = None,
) -> Association:
    """Does a score differ between clusters? Share of its variance between clusters, by permutations of the seeds.

    The interval inverts the noncentral F distribution.

    Args:
        labels: Cluster of each seed; two clusters or more.
        values: Score of each seed.
        orders: Permutations of the seeds.
        held_fixed: A value of each seed to hold fixed, such as its loss. The residuals of the score are permuted, and
            residualised again.

    Returns:
        The test; its effect is in [0, 1].
    """
    groups = (labels[:, None] == np.unique(labels)[None]).astype(float)
    fixed = np.ones((len(values), 1)) if held_fixed is None else np.column_stack([np.ones(len(values)), held_fixed])
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
    return over_orders("cluster" if held_fixed is None else "cluster given loss", share, interval, statistics, seeds)


def _additive(barriers: Square) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Least squares of ``a_i + a_j`` over the pairs, and the residuals, scaled to the variance of the noise."""
    seeds = len(barriers)
    rows, columns = np.triu_indices(seeds, 1)
    design = np.zeros((len(rows), seeds))
    design[np.arange(len(rows)), rows] = design[np.arange(len(rows)), columns] = 1
    values = barriers[rows, columns]
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return fitted, (values - fitted) * np.sqrt(len(rows) / (len(rows) - seeds))


def _scaled(barriers: Square) -> Float[np.ndarray, " directions"]:
    """Standard deviations of the seeds in the directions of classical multidimensional scaling."""
    seeds = len(barriers)
    centring = np.eye(seeds) - 1 / seeds
    sizes = np.linalg.eigvalsh(-centring @ barriers**2 @ centring / 2)
    return np.asarray(np.sqrt(np.maximum(sizes[sizes > 1e-9 * sizes.max()], 0) / (seeds - 1)))
