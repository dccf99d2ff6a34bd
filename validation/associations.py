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
from table import LEVEL, RECALL, Case, Hits

from landscape.stages.analysis import analyse
from landscape.stages.association import by_seed, clusters, matrices, permutations, population, power
from landscape.stages.series.observed import Observed
from landscape.stages.settings import Stages

SEEDS = (5, 10, 20)
X = np.log1p(SIXTY)
COUPLING = 0.97
ORDERS = 499
POWER, SOME_POWER = (0.75, 1.0), (0.5, 1.0)
NAIVE = (0.1, 1.0)
"""A test that is not offered is to reject at least twice as often as it may, or the argument against it fails."""
INDEPENDENT, CAUSE, COUPLED = "independent", "loss is the common cause", "coupled"
ALONG = "loss places the seeds along a line"
BESIDES = "coupled independently of the loss"
STEEP, WEAK = "loss drives both steeply", "loss drives one weakly"
CURVED = "loss drives both along a curve"
TIMINGS = (INDEPENDENT, CAUSE, STEEP, WEAK, CURVED, COUPLED)


def rejected(p: float) -> bool:
    """Whether a test rejects at 0.05; a p value just there counts."""
    return bool(p <= 0.05 + 1e-12)


def standard(kind: str, random: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How late each seed is in connectivity, behaviour and loss, in standard deviations.

    Where loss is a cause the two differ from it independently.
    """
    loss = random.standard_normal(shape)
    own, other = random.standard_normal((2, *shape))
    match kind:
        case "loss is the common cause":
            return loss + 0.3 * own, loss + 0.3 * other, loss
        case "loss drives both steeply":
            return 2 * loss + 0.3 * own, 0.5 * loss + 0.1 * other, loss
        case "loss drives both along a curve":
            return *(np.expm1(0.45 * loss) / 0.45 + 0.25 * one for one in (own, other)), loss
        case "loss drives one weakly":
            return loss + 0.3 * own, 0.3 * loss + other, loss
        case "coupled":
            return *simulated.coupled(random, COUPLING, *shape), loss
        case _:
            return own, other, loss


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


TIMING = ("onset", "onset given loss", "lead")


def wanted_of_timing(kind: str, seeds: int) -> dict[str, table.Wanted]:
    """What the rejections are to be; where loss is the cause, a test that does not know it should find it."""
    if kind == INDEPENDENT:
        return dict.fromkeys(TIMING, LEVEL)
    if kind == COUPLED:
        return {"onset": POWER} | ({"onset given loss": SOME_POWER, "lead": POWER} if seeds > 5 else {})
    return dict.fromkeys(("onset given loss",) if kind == CURVED else ("onset given loss", "lead"), LEVEL)


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


def of_pairs(kind: str, random: np.random.Generator, seeds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Barriers, a score of each seed, and its loss.

    Where loss is the cause, score and barriers depend on it and on nothing else that they share: barriers are
    distances between places that follow the loss, along a line, with other directions as well, or through a curve;
    or they are higher the worse both seeds are, or the worse one is.
    """
    u, v = random.standard_normal((2, seeds, 2))
    loss, own, other = random.standard_normal((3, seeds))
    score = loss + 0.3 * own
    tall = np.abs(random.standard_normal(seeds))
    worlds = {
        INDEPENDENT: (simulated.apart(u), own),
        "sums of seeds": (tall[:, None] + tall, np.abs(own)),
        COUPLED: (_line(u[:, 0]), COUPLING * u[:, 0] + np.sqrt(1 - COUPLING**2) * v[:, 0]),
        BESIDES: (_line(u[:, 0] + loss), 0.95 * u[:, 0] + 0.3 * v[:, 0] + loss),
        ALONG: (_line(loss + 0.3 * other), score),
        "loss places the seeds roughly": (_line(loss + 0.6 * other), loss + 0.6 * own),
        "loss places the seeds, and more": (simulated.apart(np.column_stack([loss, 0.5 * u])), score),
        "loss places the seeds along a curve": (_line(np.exp(0.7 * loss) + 0.3 * other), score),
        "loss bends the score": (_line(loss + 0.3 * other), np.tanh(loss) + 0.3 * own),
        "barriers higher the worse both are": (
            np.exp(0.5 * (loss[:, None] + loss)) + 0.1 * symmetric(simulated.apart(u)), score,
        ),
        "barriers higher the worse one is": (
            np.maximum(loss[:, None], loss) + 0.1 * symmetric(simulated.apart(u)), score,
        ),
    }  # fmt: skip
    return *worlds[kind], loss


def _line(places: np.ndarray) -> np.ndarray:
    return np.abs(places[:, None] - places)


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


GIVEN = dict.fromkeys(("matrix given loss", "matrix given loss, of distances"), LEVEL)
PAIRS: dict[str, dict[str, table.Wanted]] = {
    INDEPENDENT: {"matrix": LEVEL, **GIVEN},
    "sums of seeds": {"matrix": LEVEL, **GIVEN},
    **dict.fromkeys((
        ALONG, "loss places the seeds roughly", "loss places the seeds, and more",
        "loss places the seeds along a curve", "loss bends the score", "barriers higher the worse both are",
        "barriers higher the worse one is",
    ), GIVEN),
    COUPLED: {"matrix": POWER, "matrix given loss": SOME_POWER},
    BESIDES: {"matrix given loss": SOME_POWER},
}  # fmt: skip
SCORES = {
    INDEPENDENT: {"cluster": LEVEL, "cluster given loss": LEVEL},
    CAUSE: {"cluster given loss": LEVEL},
    COUPLED: {"cluster": POWER, "cluster given loss": SOME_POWER},
}
BY_TEST = "Rejections at 0.05, by test: {}"
MATRICES = "Rejections at 0.05 of the tests on matrices of pairs"
CLUSTERS = "Clusters of seeds, and scores by cluster"
OVER_SEEDS = "Coverage of 95 % intervals over seeds"
POWERS = "Power at 0.05: how often the tests reject, and how often they are said to"
COVERED = (0.92, 0.98)
"""Range of the coverage of 95 % intervals over seeds that are shown."""
FAULTS: dict[int, tuple[str, ...]] = {}
"""Known not to hold, by the number of the case; they stand in the table like any other."""
CASES = table.marked([
    *(
        Case(number, BY_TEST.format(kind), f"{kind}, {seeds} seeds", timing, {"kind": kind, "seeds": seeds},
             wanted_of_timing(kind, seeds))
        for number, (kind, seeds) in enumerate(product(TIMINGS, SEEDS), start=100)
    ),
    *(
        Case(number, BY_TEST.format(CAUSE), f"loss dated to {error}, {seeds} seeds", given_loss,
             {"seeds": seeds, "error": error}, {"onset given loss": LEVEL})
        for number, (error, seeds) in enumerate(product((0.0, 0.05, 0.1, 0.2), SEEDS), start=140)
    ),
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
             {"coupling": coupling, "seeds": seeds}, {"onset": COVERED})
        for number, (coupling, seeds) in enumerate(product((0.0, 0.5, 0.9), (6, 10, 20)), start=400)
    ),
    *(
        Case(number, OVER_SEEDS, f"leads, {seeds} seeds", leads, {"seeds": seeds}, {"lead": COVERED})
        for number, seeds in enumerate(SEEDS, start=410)
    ),
    *(
        Case(number, OVER_SEEDS, f"partial correlation {coupling}, {seeds} seeds", partial_correlations,
             {"coupling": coupling, "seeds": seeds}, {"onset given loss": COVERED})
        for number, (coupling, seeds) in enumerate(product((0.0, 0.7), (8, 10, 20)), start=420)
    ),
    *(
        Case(number, OVER_SEEDS, f"distances of points, coupling {coupling}, {seeds} seeds", mantels,
             {"coupling": coupling, "seeds": seeds}, {"matrix": COVERED})
        for number, (coupling, seeds) in enumerate(product((0.0, 0.7, 0.95), SEEDS), start=430)
    ),
    *(
        Case(number, OVER_SEEDS, f"{kind}, {seeds} seeds", given_losses, {"kind": kind, "seeds": seeds},
             {"matrix given loss": COVERED})
        for number, (kind, seeds) in enumerate(product((ALONG, BESIDES), (20, 30)), start=440)
    ),
    *(
        Case(number, OVER_SEEDS, f"two clusters {apart} apart, {seeds} seeds", shares,
             {"apart": apart, "seeds": seeds}, {"cluster": COVERED})
        for number, (apart, seeds) in enumerate(product((0.0, 1.0, 3.0), SEEDS), start=450)
    ),
    *(
        Case(number, OVER_SEEDS, f"coupling {coupling}, {seeds} seeds", described,
             {"coupling": coupling, "seeds": seeds}, dict.fromkeys(("trajectory", "precursor"), COVERED))
        for number, (coupling, seeds) in enumerate(product((0.0, 0.9), (20, 30)), start=460)
    ),
    *(
        Case(number, POWERS, f"onsets, coupling {coupling}, {seeds} seeds", power_of_onsets,
             {"seeds": seeds, "coupling": coupling}, {}, 0.5)
        for number, (coupling, seeds) in enumerate(product((0.5, 0.9), SEEDS), start=500)
    ),
    *(
        Case(number, POWERS, f"matrices, coupling {coupling}, {seeds} seeds", power_of_matrices,
             {"seeds": seeds, "coupling": coupling}, {}, 0.5)
        for number, (coupling, seeds) in enumerate(product((0.3, 0.6), SEEDS), start=510)
    ),
    *(
        Case(number, "Rejections at 0.05 from noisy series on", f"{kind}, {seeds} seeds", from_series,
             {"coupling": coupling, "seeds": seeds}, wanted, share)
        for number, (kind, coupling, seeds, wanted, share) in enumerate((
            (INDEPENDENT, 0.0, 5, {"onset": LEVEL}, 0.08),
            (INDEPENDENT, 0.0, 10, {"onset": LEVEL}, 0.05),
            (COUPLED, 1.0, 5, {"onset": POWER}, 0.03),
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
