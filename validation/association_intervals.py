"""How often the intervals of associations hold the true value."""

from __future__ import annotations

import numpy as np
import simulated
from association_worlds import X, of_pairs
from scipy import stats
from simulated import dated, drift, sigmoid
from table import Hits

from landscape.stages.association import by_seed, clusters, matrices, permutations, population


def holds(one: by_seed.Association, true: float) -> bool:
    """Whether the interval holds the true value."""
    return bool(one.low - 1e-12 <= true <= one.high + 1e-12)


def correlations(worlds: int, random: np.random.Generator, *, coupling: float, seeds: int) -> Hits:
    """Whether the interval of the rank correlation of onsets holds Spearman's rho of the normal world."""
    rho = 6 / np.pi * np.arcsin(coupling / 2)
    true = 6 + 0.6 * simulated.coupled(random, coupling, worlds, seeds)
    orders = permutations.orders(seeds, 99, random)
    found = [by_seed.onset(c, b, orders) for c, b in zip(*dated(random, true, 0.02), strict=True)]
    return {"onset": [holds(one, rho) for one in found]}


def partial_correlations(worlds: int, random: np.random.Generator, *, coupling: float, seeds: int) -> Hits:
    """The same with the timing of the loss held fixed, on which both depend."""
    left = 0.6 * simulated.coupled(random, coupling, worlds, seeds)
    loss = 0.6 * random.standard_normal((worlds, seeds))
    orders = permutations.orders(seeds, 99, random)
    c, b = dated(random, 6 + left + loss, 0.02)
    found = [by_seed.onset_given(*one, orders) for one in zip(c, b, dated(random, loss, 0.02), strict=True)]
    return {"onset given loss": [holds(one, coupling) for one in found]}


def leads(worlds: int, random: np.random.Generator, *, seeds: int) -> Hits:
    """Whether the interval of the lead holds the mean lead of the population of seeds."""
    true = np.log(2) + 0.6 * random.standard_normal((worlds, seeds))
    c, b = (dated(random, one, 0.05, 200) for one in (0 * true, true))
    found = [
        population.lead(one, two, shared=False, gap=0.0, count=99, random=random) for one, two in zip(c, b, strict=True)
    ]
    return {"lead": [holds(one, np.log(2)) for one in found]}


def mantels(worlds: int, random: np.random.Generator, *, coupling: float, seeds: int) -> Hits:
    """Whether the interval of the correlation of matrices holds that of all pairs of very many seeds."""

    def world(count: int) -> tuple[np.ndarray, np.ndarray]:
        return tuple(simulated.apart(one) for one in simulated.coupled(random, coupling, count, 2))

    upper = np.triu_indices(1000, 1)
    true = float(stats.spearmanr(*(one[upper] for one in world(1000))).statistic)
    orders = permutations.orders(seeds, 99, random)
    return {"matrix": [holds(matrices.mantel(*world(seeds), orders), true) for _ in range(worlds)]}


def given_losses(worlds: int, random: np.random.Generator, *, kind: str, seeds: int) -> Hits:
    """The same with the loss held fixed."""
    many, a, score, loss = 600, *of_pairs(kind, random, 600)
    true = matrices.given_loss(a, score, loss, np.arange(many)[None]).effect
    orders = permutations.orders(seeds, 99, random)
    found = [matrices.given_loss(*of_pairs(kind, random, seeds), orders) for _ in range(worlds)]
    return {"matrix given loss": [holds(one, true) for one in found]}


def shares(worlds: int, random: np.random.Generator, *, apart: float, seeds: int) -> Hits:
    """Whether the interval of the share of variance between two clusters of normal scores holds it."""
    labels = np.arange(seeds) % 2
    between = apart**2 * float(labels.var())
    orders = permutations.orders(seeds, 99, random)
    found = [clusters.by_cluster(labels, apart * labels + random.standard_normal(seeds), orders) for _ in range(worlds)]
    return {"cluster": [holds(one, between / (between + 1)) for one in found]}


def described(worlds: int, random: np.random.Generator, *, coupling: float, seeds: int) -> Hits:
    """Whether the intervals of what is described only hold its value over very many seeds."""

    def world(count: int) -> tuple[by_seed.Association, by_seed.Association]:
        late = simulated.coupled(random, coupling, count)
        x, y = (
            sign * sigmoid(X, 5 + one[:, None], 0.6) + drift(random, count, len(X), size=0.02)
            for sign, one in zip((1, -1), late, strict=True)
        )
        before, after = ([np.array([[at]]) for at in one] for one in (late[0], late[1] + 0.2))
        counts = by_seed.coincidences(before, after, 0.5, 0.1)
        return (
            by_seed.trajectory(by_seed.likeness(x, y)), by_seed.precursor(counts, np.ones(count, int))
        )  # fmt: skip

    many = [world(300) for _ in range(5)]
    true = [float(np.mean([one.effect for one in column])) for column in zip(*many, strict=True)]
    hits: dict[str, list[bool]] = {}
    for _ in range(worlds):
        for one, value in zip(world(seeds), true, strict=True):
            hits.setdefault(one.test, []).append(holds(one, value))
    return hits
