"""How often the tests of association reject, and how often clusters are seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import simulated
from association_worlds import CAUSE, COUPLED, ORDERS, X, of_pairs, rejected, standard
from simulated import SIXTY, dated, drift, sigmoid, symmetric
from sklearn.metrics import adjusted_rand_score
from table import Hits

from landscape.stages.analysis import analyse
from landscape.stages.association import by_seed, clusters, matrices, permutations, population, power
from landscape.stages.series.observed import Observed
from landscape.stages.settings import Stages


def timing(worlds: int, random: np.random.Generator, *, kind: str, seeds: int) -> Hits:
    """Rejections of the tests on onsets, which spread by 0.6 in ``log(step + 1)`` and are dated to 0.1."""
    c, b, loss = (dated(random, 6 + 0.6 * one, 0.1) for one in standard(kind, random, worlds, seeds))
    after = b + (np.log(2) if kind == COUPLED else 0)
    hits: dict[str, list[bool]] = {}
    for n in range(worlds):
        orders = permutations.orders(seeds, ORDERS, random)
        for one in (
            by_seed.onset(c[n], b[n], orders),
            by_seed.onset_given(c[n], b[n], loss[n], orders),
            population.lead(c[n], after[n], shared=False, gap=0.0, count=ORDERS, random=random),
        ):
            hits.setdefault(one.test, []).append(rejected(one.p))
    return hits


def given_loss(worlds: int, random: np.random.Generator, *, seeds: int, error: float) -> Hits:
    """Loss is the common cause; how far the test that holds it fixed depends on how well its onset is dated."""
    c, b, loss = (6 + 0.6 * one for one in standard(CAUSE, random, worlds, seeds))
    hits = []
    for world in zip(dated(random, c, 0.1), dated(random, b, 0.1), dated(random, loss, error), strict=True):
        orders = permutations.orders(seeds, ORDERS, random)
        hits.append(rejected(by_seed.onset_given(*world, orders).p))
    return {"onset given loss": hits}


def power_of_onsets(worlds: int, random: np.random.Generator, *, seeds: int, coupling: float) -> Hits:
    """How often the test rejects, and how often it is said to."""
    true = 6 + 0.6 * simulated.coupled(random, coupling, worlds, seeds)
    said, seen = [], []
    for c, b in zip(*dated(random, true, 0.2), strict=True):
        orders = permutations.orders(seeds, ORDERS, random)
        seen.append(rejected(by_seed.onset(c, b, orders).p))
        said.append(bool(random.random() < power.onset(c, b, coupling, orders, random)))
    return {"seen": seen, "said": said}


def power_of_matrices(worlds: int, random: np.random.Generator, *, seeds: int, coupling: float) -> Hits:
    """The same of matrices, whose distances are partly barriers."""
    said, seen = [], []
    for _ in range(worlds):
        a, b = (simulated.apart(random.standard_normal((seeds, 2))) for _ in range(2))
        mixed = coupling * matrices.standardised(a) + np.sqrt(1 - coupling**2) * matrices.standardised(b)
        orders = permutations.orders(seeds, ORDERS, random)
        seen.append(rejected(matrices.mantel(a, mixed, orders).p))
        said.append(bool(random.random() < power.matrix(a, mixed, coupling, orders, random)))
    return {"seen": seen, "said": said}


def family(worlds: int, random: np.random.Generator, *, seeds: int, behaviours: int) -> Hits:
    """Whether the smallest family-wise p value over several behaviours that share most of their onsets rejects."""
    hits = []
    for _ in range(worlds):
        orders = permutations.orders(seeds, ORDERS, random)
        connectivity, shared = random.standard_normal((2, seeds, 1))
        found = [
            by_seed.onset(connectivity, shared + 0.5 * random.standard_normal((seeds, 1)), orders).statistics
            for _ in range(behaviours)
        ]
        hits.append(rejected(permutations.largest(np.stack(found)).min()))
    return {"smallest family-wise p value": hits}


def pairs(worlds: int, random: np.random.Generator, *, kind: str, seeds: int) -> Hits:
    """Rejections of the tests on matrices of pairs, with the scores and with their distances alone."""
    hits: dict[str, list[bool]] = {}
    for _ in range(worlds):
        a, score, loss = of_pairs(kind, random, seeds)
        b, orders = matrices.differences(score), permutations.orders(seeds, ORDERS, random)
        for name, one in {
            "matrix": matrices.mantel(a, b, orders),
            "matrix given loss": matrices.given_loss(a, score, loss, orders),
            "matrix given loss, of distances": matrices.distances_given_loss(a, b, loss, ORDERS, random),
        }.items():
            hits.setdefault(name, []).append(rejected(one.p))
    return hits


def scores(worlds: int, random: np.random.Generator, *, kind: str, seeds: int) -> Hits:
    """Rejections of the tests of a score by cluster, with two known clusters."""
    plain, given = [], []
    labels = np.arange(seeds) % 2
    for _ in range(worlds):
        orders = permutations.orders(seeds, ORDERS, random)
        loss, score = random.standard_normal((2, seeds))
        if kind == CAUSE:
            loss = labels + 0.5 * loss
            score = loss + 0.3 * score
        elif kind == COUPLED:
            score = labels + 0.3 * score
        plain.append(rejected(clusters.by_cluster(labels, score, orders).p))
        given.append(rejected(clusters.by_cluster(labels, score, orders, loss).p))
    return {"cluster": plain, "cluster given loss": given}


def divisions(worlds: int, random: np.random.Generator, *, kind: str, seeds: int, groups: int = 1) -> Hits:
    """Whether clusters are seen, and where some are planted whether they are these."""
    seen, right = [], []
    for _ in range(worlds):
        noise = 0.1 * random.random((seeds, seeds))
        planted = random.permutation(np.arange(seeds) % groups)
        match kind:
            case "alike":
                barriers = symmetric(0.5 + noise)
            case "tall seeds":
                own = random.random(seeds)
                barriers = symmetric(own[:, None] + own + noise)
            case "a cloud":
                barriers = simulated.apart(random.standard_normal((seeds, 3)))
            case _:
                barriers = symmetric(0.2 + 0.6 * (planted[:, None] != planted) + noise)
        found = clusters.clusters(barriers, random)
        seen.append(bool(found.labels.any()))
        right.append(adjusted_rand_score(planted, found.labels) == 1)
    return {"clusters seen": seen} if groups == 1 else {"the planted clusters": right}


def from_series(worlds: int, random: np.random.Generator, *, coupling: float, seeds: int) -> Hits:
    """Rejections of the whole analysis: trends with autocorrelated noise, smoothed and dated like any."""
    settings = Stages.model_validate({"threshold": 0.5, "draws": 50, "permutations": ORDERS})
    hits: dict[str, list[bool]] = {}
    for late in np.moveaxis(simulated.coupled(random, coupling, worlds, seeds), 1, 0):
        place = random.uniform(4, 8)
        c, b = place + 0.6 * late[0], place + 0.4 + 0.6 * late[1]
        values = {"barrier:last": 1 - sigmoid(X, c[:, None], 0.5), "score": sigmoid(X, b[:, None], 0.5)}
        rows = [
            pd.DataFrame({"series": name, "seed": seed, "step": SIXTY, "value": run})
            for name, runs in values.items()
            for seed, run in enumerate(runs + drift(random, seeds, len(X), size=0.03))
        ]
        series = pd.concat(rows, ignore_index=True).assign(error=np.nan, shared_error=np.nan, headline=True)
        found = analyse(Observed(series), settings).association
        for row in found[found["hypothesis"] == by_seed.SEED].dropna(subset="p").to_dict("records"):
            hits.setdefault(str(row["test"]), []).append(rejected(row["p"]))
    return hits
