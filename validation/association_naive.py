"""Tests that are not offered, beside those that are: how often each rejects without an association."""

from __future__ import annotations

import numpy as np
from association_worlds import CAUSE, ORDERS, X, rejected, standard
from scipy import stats
from simulated import drift, sigmoid, symmetric
from table import Hits

from landscape.stages.association import by_seed, matrices, permutations, population


def dependent_pairs(worlds: int, random: np.random.Generator) -> Hits:
    """Eight seeds whose barriers and distances each are sums of what the seeds bring, and not of one another."""
    upper = np.triu_indices(8, 1)
    tall = np.abs(random.standard_normal((worlds, 2, 8)))
    naive, ours = [], []
    for a, b in tall[..., :, None] + tall[..., None, :]:
        naive.append(rejected(stats.spearmanr(a[upper], b[upper], alternative="greater").pvalue))
        orders = permutations.orders(8, ORDERS, random)
        ours.append(rejected(matrices.mantel(a, b, orders).p))
    return {"pairs taken as independent": naive, "seeds permuted": ours}


def dependent_steps(worlds: int, random: np.random.Generator) -> Hits:
    """Two unrelated trends of one run."""
    hits: dict[str, list[bool]] = {}
    for _ in range(worlds):
        x, y = (sigmoid(X, random.uniform(3, 9), 0.6) + drift(random, len(X), size=0.05) for _ in range(2))
        turned = np.abs([np.corrcoef(x, np.roll(y, k))[0, 1] for k in range(len(X))])
        for name, p in {
            "correlation over checkpoints": stats.pearsonr(x, y).pvalue,
            "rank correlation over checkpoints": stats.spearmanr(x, y).pvalue,
            "circular shifts": float(np.mean(turned >= turned[0])),
        }.items():
            hits.setdefault(name, []).append(rejected(p))
    return hits


def shared_pairs(worlds: int, random: np.random.Generator, *, seeds: int) -> Hits:
    """Leads of 0, with a connectivity that is the mean over the pairs of each seed."""
    naive, ours = [], []
    for _ in range(worlds):
        own = random.standard_normal(seeds)
        square = symmetric((own[:, None] + own) / 2 + 0.15 * random.standard_normal((seeds, seeds)))
        c = 6 + (square.sum(axis=1) / (seeds - 1))[:, None]
        b = 6 + 0.7 * random.standard_normal((seeds, 1))
        for shared, hits in ((False, naive), (True, ours)):
            hits.append(rejected(population.lead(c, b, shared=shared, gap=0.0, count=ORDERS, random=random).p))
    return {"seeds taken as independent": naive, "deviations doubled": ours}


def ranks_given_loss(worlds: int, random: np.random.Generator, *, seeds: int) -> Hits:
    """Loss is the common cause, and is taken out of the ranks of onsets instead of the onsets."""
    c, b, loss = (6 + 0.6 * one[..., None] for one in standard(CAUSE, random, worlds, seeds))
    naive, ours = [], []
    for world in zip(c, b, loss, strict=True):
        orders = permutations.orders(seeds, ORDERS, random)
        ranked = [stats.rankdata(at, axis=0) for at in world]
        naive.append(rejected(by_seed.onset_given(*ranked, orders).p))
        ours.append(rejected(by_seed.onset_given(*world, orders).p))
    return {"loss taken out of ranks": naive, "loss taken out of dates": ours}
