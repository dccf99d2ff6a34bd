"""Associations: level and power of every test, coverage of their intervals, and why naive tests are not offered.

python validation/associations.py
python validation/associations.py --short
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import simulated
import table
from scipy import stats
from simulated import SIXTY, dated, drift, sigmoid, symmetric
from sklearn.metrics import adjusted_rand_score
from table import COVERS_95, LEVEL, RECALL, Case, Hits

from landscape.settings import Stages
from landscape.stages import analyse, association, clusters, matrices, permutations, population
from landscape.stages.series import Observed

SEEDS = (5, 10, 20)
X = np.log1p(SIXTY)
COUPLING = 0.97
ORDERS = 499
WINDOW, SPACING = 0.4, 0.2
ENDS = (0.0, 12.0)
POWER, SOME_POWER = (0.75, 1.0), (0.5, 1.0)
NAIVE = (0.1, 1.0)
"""A test that is not offered is to reject at least twice as often as it may, or the argument against it fails."""
INDEPENDENT, TREND, CAUSE, COUPLED = "independent", "common trend", "loss is the common cause", "coupled"


def rejected(p: float) -> bool:
    """Whether a test rejects at 0.05; a p value just there counts."""
    return bool(p <= 0.05 + 1e-12)


def standard(kind: str, random: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How late each seed is in connectivity, behaviour and loss, in standard deviations.

    With a common trend the seeds differ little. Where loss is the cause the two differ from it independently.
    """
    loss = random.standard_normal(shape)
    match kind:
        case "loss is the common cause":
            return loss + 0.3 * random.standard_normal(shape), loss + 0.3 * random.standard_normal(shape), loss
        case "coupled":
            return *simulated.coupled(random, COUPLING, *shape), loss
        case _:
            size = 0.1 if kind == TREND else 1.0
            own, other = size * random.standard_normal((2, *shape))
            return own, other, size * loss


def timing(worlds: int, random: np.random.Generator, *, kind: str, seeds: int) -> Hits:
    """Rejections of the tests on onsets, trajectories and events.

    Onsets spread by 0.6 in ``log(step + 1)`` and are dated to 0.1. Trajectories are sigmoids with autocorrelated noise;
    with a common trend all seeds also share a wandering curve in each series.
    """
    late = standard(kind, random, worlds, seeds)
    c, b, loss = (dated(random, 6 + 0.6 * one, 0.1) for one in late)
    after = b + (np.log(2) if kind == COUPLED else 0)
    x, y = (
        sign * sigmoid(X, place + one[..., None], 0.6) + drift(random, worlds, seeds, len(X), size=0.02)
        for sign, place, one in zip((1, -1), (5, 5.5), late[:2], strict=True)
    )
    if kind == TREND:
        x, y = (one + drift(random, worlds, 1, len(X), size=0.1, keep=0.95) for one in (x, y))
    # Schedules that all seeds share, anywhere in training; behaviour follows at once where it is coupled.
    place = random.uniform(*ENDS, (2, worlds))
    if kind == COUPLED:
        place[1] = place[0] + 0.1
    before, behind = ((start[:, None] + 0.05 * random.standard_normal((worlds, seeds))) % ENDS[1] for start in place)
    hits: dict[str, list[bool]] = {}
    for n in range(worlds):
        orders = permutations.orders(seeds, ORDERS, random)
        affinity = association.likeness(x[n], y[n])
        counts = association.coincidences([at[None] for at in c[n]], [at[None] for at in b[n]], WINDOW, SPACING)
        found = {
            "onset": association.onset(c[n], b[n], orders, random),
            "onset given loss": association.onset_given(c[n], b[n], loss[n], orders, random),
            "trajectory": association.trajectory(affinity, orders, random),
            "trajectory distance": matrices.mantel(matrices.between(x[n]), matrices.between(y[n]), orders, random),
            "precursor": association.precursor(counts, np.ones(seeds, int), orders, random),
            "lead": population.lead(c[n], after[n], shared=False, count=ORDERS, random=random),
            "population precursor": population.precursor(
                list(before[n][:, None]), list(behind[n][:, None]), window=WINDOW, spacing=SPACING, ends=ENDS,
                random=random,
            ),
        }  # fmt: skip
        if seeds <= 5:
            found["match"] = association.match(affinity, orders)
        for name, one in found.items():
            hits.setdefault(name, []).append(rejected(one.p))
    return hits


TIMING = (
    "onset", "onset given loss", "trajectory", "trajectory distance", "precursor", "match", "lead",
    "population precursor",
)  # fmt: skip


def wanted_of_timing(kind: str, seeds: int) -> dict[str, table.Wanted]:
    """What the rejections are to be; where loss is the cause, tests that do not know it should find an association."""
    match kind:
        case "coupled":
            lead = {"lead": POWER} if seeds > 5 else {}
            some = dict.fromkeys(("onset given loss", "trajectory distance", "match"), SOME_POWER)
            return {"onset": POWER, "trajectory": POWER, **some, **lead}
        case "loss is the common cause":
            return dict.fromkeys(("onset given loss", "lead", "population precursor"), LEVEL)
        case _:
            return dict.fromkeys(TIMING, LEVEL)


def given_loss(worlds: int, random: np.random.Generator, *, seeds: int, error: float) -> Hits:
    """Loss is the common cause; how far the test that holds it fixed depends on how well its onset is dated."""
    c, b, loss = (6 + 0.6 * one for one in standard(CAUSE, random, worlds, seeds))
    hits = []
    for world in zip(dated(random, c, 0.1), dated(random, b, 0.1), dated(random, loss, error), strict=True):
        orders = permutations.orders(seeds, ORDERS, random)
        hits.append(rejected(association.onset_given(*world, orders, random).p))
    return {"onset given loss": hits}


def perfect_matches(worlds: int, random: np.random.Generator) -> Hits:
    """Three seeds: how often all of them match in independent worlds."""
    x, y = random.standard_normal((2, worlds, 3, 20))
    affinity, orders = association.likeness(x, y), permutations.orders(3, ORDERS, random)
    return {"match": [association.match(one, orders).p < 0.05 for one in affinity]}


def family(worlds: int, random: np.random.Generator, *, seeds: int, behaviours: int) -> Hits:
    """Whether the smallest family-wise p value over several behaviours that share most of their onsets rejects."""
    hits = []
    for _ in range(worlds):
        orders = permutations.orders(seeds, ORDERS, random)
        connectivity, shared = random.standard_normal((2, seeds, 1))
        found = [
            association.onset(
                connectivity, shared + 0.5 * random.standard_normal((seeds, 1)), orders, random
            ).statistics
            for _ in range(behaviours)
        ]
        hits.append(rejected(permutations.largest(np.stack(found)).min()))
    return {"smallest family-wise p value": hits}


def pairs(worlds: int, random: np.random.Generator, *, kind: str, seeds: int) -> Hits:
    """Rejections of the tests on matrices of pairs.

    Barriers and behaviour are distances of points, or sums of what either seed brings. Where loss is the cause it is
    held fixed as the matrix that both contain, or as the differences of the losses, as in a study.
    """
    u, v, w = random.standard_normal((3, worlds, seeds, 2))
    loss = random.standard_normal((worlds, seeds))
    fixed = np.abs(loss[:, :, None] - loss[:, None])
    score = loss + 0.3 * random.standard_normal((worlds, seeds))
    near = np.abs(score[:, :, None] - score[:, None])
    match kind:
        case "sums of seeds":
            tall = np.abs(random.standard_normal((2, worlds, seeds)))
            a, b = (one[:, :, None] + one[:, None] for one in tall)
        case "coupled":
            a, b = simulated.apart(u), simulated.apart(COUPLING * u + np.sqrt(1 - COUPLING**2) * v)
        case "loss, as a matrix in both":
            fixed = simulated.apart(w)
            a, b = simulated.apart(u) + fixed, simulated.apart(v) + fixed
        case "loss, as a place of the seeds":
            a, b = simulated.apart(np.concatenate([loss[..., None], 0.5 * u], axis=-1)), near
        case "loss, barriers higher the worse both are":
            a, b = np.exp(0.5 * (loss[:, :, None] + loss[:, None])) + 0.1 * symmetric(simulated.apart(u)), near
        case _:
            a, b = simulated.apart(u), simulated.apart(v)
    matrix, given = [], []
    for n in range(worlds):
        orders = permutations.orders(seeds, ORDERS, random)
        matrix.append(rejected(matrices.mantel(a[n], b[n], orders, random).p))
        given.append(rejected(matrices.regression(a[n], b[n], [fixed[n]], orders, random).p))
    return {"matrix": matrix, "matrix given loss": given}


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
        plain.append(rejected(clusters.by_cluster(labels, score, orders, random).p))
        given.append(rejected(clusters.by_cluster(labels, score, orders, random, loss).p))
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


def correlations(worlds: int, random: np.random.Generator, *, coupling: float, seeds: int) -> Hits:
    """Whether the interval of the rank correlation of onsets holds Spearman's rho of the normal world."""
    rho = 6 / np.pi * np.arcsin(coupling / 2)
    true = 6 + 0.6 * simulated.coupled(random, coupling, worlds, seeds)
    orders = permutations.orders(seeds, 99, random)
    found = [association.onset(c, b, orders, random) for c, b in zip(*dated(random, true, 0.02), strict=True)]
    return {"onset": [one.low <= rho <= one.high for one in found]}


def leads(worlds: int, random: np.random.Generator, *, seeds: int) -> Hits:
    """Whether the interval of the lead holds the mean lead of the population of seeds."""
    true = np.log(2) + 0.6 * random.standard_normal((worlds, seeds))
    c, b = (dated(random, one, 0.05, 200) for one in (0 * true, true))
    found = [population.lead(one, two, shared=False, count=99, random=random) for one, two in zip(c, b, strict=True)]
    return {"lead": [one.low <= np.log(2) <= one.high for one in found]}


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
        for row in found[found["hypothesis"] == association.SEED].to_dict("records"):
            hits.setdefault(str(row["test"]), []).append(rejected(row["p"]))
    return hits


def dependent_pairs(worlds: int, random: np.random.Generator) -> Hits:
    """Eight seeds whose barriers and distances each are sums of what the seeds bring, and not of one another."""
    upper = np.triu_indices(8, 1)
    tall = np.abs(random.standard_normal((worlds, 2, 8)))
    naive, ours = [], []
    for a, b in tall[..., :, None] + tall[..., None, :]:
        naive.append(rejected(stats.spearmanr(a[upper], b[upper], alternative="greater").pvalue))
        orders = permutations.orders(8, ORDERS, random)
        ours.append(rejected(matrices.mantel(a, b, orders, random).p))
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
            hits.append(rejected(population.lead(c, b, shared=shared, count=ORDERS, random=random).p))
    return {"seeds taken as independent": naive, "deviations doubled": ours}


def ranks_given_loss(worlds: int, random: np.random.Generator, *, seeds: int) -> Hits:
    """Loss is the common cause, and is taken out of the ranks of onsets instead of the onsets."""
    c, b, loss = (6 + 0.6 * one[..., None] for one in standard(CAUSE, random, worlds, seeds))
    naive, ours = [], []
    for world in zip(c, b, loss, strict=True):
        orders = permutations.orders(seeds, ORDERS, random)
        ranked = [stats.rankdata(at, axis=0) for at in world]
        naive.append(rejected(association.onset_given(*ranked, orders, random).p))
        ours.append(rejected(association.onset_given(*world, orders, random).p))
    return {"loss taken out of ranks": naive, "loss taken out of dates": ours}


PAIRS = {
    "independent": {"matrix": LEVEL, "matrix given loss": LEVEL},
    "sums of seeds": {"matrix": LEVEL, "matrix given loss": LEVEL},
    "loss, as a matrix in both": {"matrix given loss": LEVEL},
    "loss, as a place of the seeds": {"matrix given loss": LEVEL},
    "loss, barriers higher the worse both are": {"matrix given loss": LEVEL},
    "coupled": {"matrix": POWER, "matrix given loss": SOME_POWER},
}
SCORES = {
    INDEPENDENT: {"cluster": LEVEL, "cluster given loss": LEVEL},
    CAUSE: {"cluster given loss": LEVEL},
    COUPLED: {"cluster": POWER, "cluster given loss": SOME_POWER},
}
BY_TEST = "Rejections at 0.05, by test: {}"
MATRICES = "Rejections at 0.05 of the tests on matrices of pairs"
CLUSTERS = "Clusters of seeds, and scores by cluster"
OVER_SEEDS = "Coverage of 95 % intervals over seeds"
FAULTS = {
    **dict.fromkeys((106, 107, 108, 142, 143), ("onset given loss",)),
    **dict.fromkeys((211, 212, 213, 214), ("matrix given loss",)),
    **dict.fromkeys((400, 403), ("onset",)),
    410: ("lead",),
}
"""Known not to hold, by the number of the case; they stand in the table like any other."""
CASES = table.marked([
    *(
        Case(number, BY_TEST.format(kind), f"{kind}, {seeds} seeds", timing, {"kind": kind, "seeds": seeds},
             wanted_of_timing(kind, seeds))
        for number, (kind, seeds) in enumerate(product((INDEPENDENT, TREND, CAUSE, COUPLED), SEEDS), start=100)
    ),
    *(
        Case(number, BY_TEST.format(CAUSE), f"loss dated to {error}, 10 seeds", given_loss,
             {"seeds": 10, "error": error}, {"onset given loss": LEVEL})
        for number, error in enumerate((0.0, 0.02, 0.05, 0.1), start=140)
    ),
    Case(150, BY_TEST.format(INDEPENDENT), "independent, 3 seeds", perfect_matches, {}, {"match": LEVEL}, 2.0),
    *(
        Case(number, BY_TEST.format(INDEPENDENT), f"independent, five behaviours, {seeds} seeds", family,
             {"seeds": seeds, "behaviours": 5}, {"smallest family-wise p value": LEVEL})
        for number, seeds in enumerate(SEEDS, start=160)
    ),
    *(
        Case(number, MATRICES, f"{kind}, {seeds} seeds", pairs, {"kind": kind, "seeds": seeds}, PAIRS[kind])
        for number, (kind, seeds) in enumerate(product(PAIRS, SEEDS), start=200)
    ),
    *(
        Case(number, CLUSTERS, f"two clusters, {kind}, {seeds} seeds", scores, {"kind": kind, "seeds": seeds},
             {} if kind == COUPLED and seeds < 6 else SCORES[kind])  # of 10 divisions, p is at least 0.1
        for number, (kind, seeds) in enumerate(product(SCORES, SEEDS), start=300)
    ),
    *(
        Case(number, CLUSTERS, f"{kind}, 8 seeds", divisions, {"kind": kind, "seeds": 8},
             {"clusters seen": LEVEL}, 0.25)
        for number, kind in enumerate(("alike", "tall seeds", "a cloud"), start=320)
    ),
    *(
        Case(number, CLUSTERS, f"{groups} planted, {seeds} seeds", divisions,
             {"kind": "planted", "seeds": seeds, "groups": groups}, {"the planted clusters": RECALL}, 0.1)
        for number, (seeds, groups) in enumerate(((10, 2), (12, 3)), start=330)
    ),
    *(
        Case(number, OVER_SEEDS, f"correlation of true onsets {coupling}, {seeds} seeds", correlations,
             {"coupling": coupling, "seeds": seeds}, {"onset": COVERS_95})
        for number, (coupling, seeds) in enumerate(product((0.0, 0.9), SEEDS), start=400)
    ),
    *(
        Case(number, OVER_SEEDS, f"leads, {seeds} seeds", leads, {"seeds": seeds}, {"lead": COVERS_95})
        for number, seeds in enumerate(SEEDS, start=410)
    ),
    *(
        Case(number, "Rejections at 0.05 from noisy series on", f"{kind}, {seeds} seeds", from_series,
             {"coupling": coupling, "seeds": seeds}, wanted, share)
        for number, (kind, coupling, seeds, wanted, share) in enumerate((
            (INDEPENDENT, 0.0, 5, dict.fromkeys(TIMING, LEVEL), 0.08),
            (INDEPENDENT, 0.0, 10, dict.fromkeys(TIMING, LEVEL), 0.05),
            (COUPLED, 1.0, 5, {"onset": POWER, "trajectory": POWER}, 0.03),
        ), start=600)
    ),
    Case(700, "What is not offered, and why", "two unrelated sums over pairs, 8 seeds", dependent_pairs, {},
         {"pairs taken as independent": NAIVE, "seeds permuted": LEVEL}),
    Case(701, "What is not offered, and why", "two unrelated trends of one run", dependent_steps, {},
         dict.fromkeys(("correlation over checkpoints", "rank correlation over checkpoints", "circular shifts"), NAIVE),
         0.5),
    *(
        Case(number, "What is not offered, and why", f"leads of means over pairs, {seeds} seeds",
             shared_pairs, {"seeds": seeds},
             {"seeds taken as independent": NAIVE, "deviations doubled": LEVEL}, 2.0)
        for number, seeds in enumerate((8, 10, 20), start=710)
    ),
    *(
        Case(number, "What is not offered, and why", f"loss is the common cause, {seeds} seeds", ranks_given_loss,
             {"seeds": seeds}, {"loss taken out of ranks": NAIVE, "loss taken out of dates": LEVEL})
        for number, seeds in enumerate(SEEDS, start=720)
    ),
], FAULTS)  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Write the table."""
    table.main("Associations", "associations", CASES, long=800, short=48, words=words)


if __name__ == "__main__":
    main()
