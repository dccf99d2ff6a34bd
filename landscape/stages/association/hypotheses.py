"""All tests on all pairs of a series of connectivity and one of behaviour, with multiplicity and power."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from landscape.shapes import Int
from landscape.stages.association import by_seed, clusters, last_step, matrices, permutations, population, power
from landscape.stages.association.by_seed import SEED, Association
from landscape.stages.events.dating import Dated, behaviours, chosen
from landscape.stages.series.observed import BARRIER, LOSS, SHARED, Observed
from landscape.stages.series.others import base
from landscape.stages.series.runs import covering
from landscape.stages.settings import Primary, Stages

MIN_SEEDS = 3
"""Seeds that a test needs."""
FEW_SEEDS = 4
"""With so many seeds or fewer nearly no test can reject."""
MIN_SEEDS_GIVEN = 5
"""Seeds that a test needs that holds the loss fixed."""
LEVEL = 0.05
GRID = 60
"""Points of the axis of training at which curves are compared."""
COLUMNS = (
    "connectivity", "behaviour", "step", "hypothesis", "test", "effect", "low", "high", "p", "p_floor", "q", "p_family",
    "power", "seeds", "primary", "verdict", "censored", "bound", "unreliable", "effect_without", "p_without",
)  # fmt: skip
Labelled = list[tuple[dict[str, object], Association]]
"""Tests with their labels: the series, the step, the seeds, the power."""


def associations(observed: Observed, dated: Dated, settings: Stages, preregistered: Primary | None) -> pd.DataFrame:
    """A row for each test.

    ``q`` is Benjamini and Hochberg's over all tests of a hypothesis except the primary one. ``p_family`` is the p value
    of the largest statistic over all pairs of series. ``power`` is that of the design at ``settings.coupling``. The
    primary association is tested alone: its q is its p.

    Args:
        observed: Measurements.
        dated: Their curves, events and onsets.
        settings: Settings of the analysis.
        preregistered: The primary association, if it was preregistered.
    """
    tests: Labelled = []
    with threadpool_limits(1):
        for connectivity in chosen(observed.series, settings.connectivity):
            for behaviour in behaviours(observed.series, settings):
                tests += _timing(connectivity, behaviour, observed, dated, settings)
        tests += _matrices(observed, settings)
    rows = pd.DataFrame([{**labels, **asdict(one)} for labels, one in tests])
    if rows.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    rows["primary"] = [is_primary(row, preregistered) for row in rows.to_dict("records")]
    rows["q"], rows["p_family"] = rows["p"], np.nan
    for _, group in rows[~rows["primary"]].groupby("hypothesis"):
        rows.loc[group.index, "q"] = permutations.false_discovery(group["p"].to_numpy(dtype=float))
    rows = rows.reindex(columns=[*rows, *(name for name in ("censored", "bound") if name not in rows)])
    rows = rows.fillna({"censored": 0, "bound": ""}).astype({"censored": int, "bound": str})
    same = rows["statistics"].notna() & (rows["hypothesis"] == SEED)
    sizes = rows["statistics"].map(lambda s: 0 if s is None else len(s))
    for _, group in rows[same].groupby(["test", "who", sizes[same]]):
        rows.loc[group.index, "p_family"] = permutations.largest(np.stack(group["statistics"].tolist()))
    rows["verdict"] = [_verdict(row) for row in rows.to_dict("records")]
    unreliable = set(observed.unreliable)
    rows["unreliable"] = rows["connectivity"].isin(unreliable) | rows["behaviour"].isin(unreliable)
    rows["effect_without"] = rows["p_without"] = np.nan
    return rows[list(COLUMNS)].sort_values("primary", ascending=False, kind="stable", ignore_index=True)


def add_without_outliers(rows: pd.DataFrame, without: pd.DataFrame) -> pd.DataFrame:
    """The tests, with effect and p value of each without outlier runs.

    Args:
        rows: From :func:`associations`.
        without: The same, without the outlier runs.
    """
    if rows.empty or without.empty:
        return rows
    keys = ["connectivity", "behaviour", "hypothesis", "test"]
    others = without[[*keys, "effect", "p"]].rename(columns={"effect": "effect_without", "p": "p_without"})
    return rows.drop(columns=["effect_without", "p_without"]).merge(others, on=keys, how="left")[list(COLUMNS)]


def _timing(connectivity: str, behaviour: str, observed: Observed, dated: Dated, settings: Stages) -> Labelled:
    """Tests on onsets, curves and events of two series, over the seeds that have both."""
    if connectivity not in dated.onsets or behaviour not in dated.onsets:
        return []
    seeds, c, b = _common(dated, connectivity, behaviour)
    if len(seeds) < MIN_SEEDS:
        return []
    random = stream(settings, connectivity, behaviour)
    orders = _orders(len(seeds), settings)
    who = str(sorted(map(str, seeds)))
    tests: list[tuple[Association, float]] = [
        (by_seed.onset(c, b, orders), power.onset(c, b, settings.coupling, orders, random))
    ]
    ends = _ends(observed)
    if (loss := _loss_onsets(dated, seeds)) is not None and len(seeds) >= MIN_SEEDS_GIVEN and behaviour != LOSS:
        c_, b_, loss = (_finite(at, ends) for at in (c, b, loss))
        tests.append((by_seed.onset_given(c_, b_, loss, orders), np.nan))
    labels = {"connectivity": connectivity, "behaviour": behaviour, "step": np.nan, "seeds": len(seeds), "who": who}
    own: dict[str, dict[str, object]] = {"lead": _censoring(c, b)}
    if (curves := _together(dated, connectivity, behaviour, seeds)) is not None:
        kept, x, y = curves
        own["trajectory"] = {"seeds": len(kept), "who": str(sorted(map(str, kept)))}
        tests.append((by_seed.trajectory(by_seed.likeness(x, y)), np.nan))
    tests += [(one, np.nan) for one in _coincidence(connectivity, behaviour, seeds, observed, dated, settings)]
    c_, b_ = _finite(c, ends), _finite(b, ends)
    first = population.lead(
        c_, b_, shared=base(connectivity) in SHARED,
        gap=_gap(observed, [connectivity, behaviour], float(np.median(b_))), count=settings.permutations, random=random,
    )  # fmt: skip
    middle = np.median(b_ - c_, axis=1)
    tests.append((first, power.lead(middle, random)))
    return [({**labels, **own.get(one.test, {}), "power": strength}, one) for one, strength in tests]


def _coincidence(
    connectivity: str, behaviour: str, seeds: list[Hashable], observed: Observed, dated: Dated, settings: Stages
) -> list[Association]:
    """How often events of behaviour follow events of connectivity; empty if there are no events."""
    before, after = ([_dates(dated, name, seed) for seed in seeds] for name in (connectivity, behaviour))
    count = np.array([len(one) for one in after])
    if not count.any() or not any(len(one) for one in before):
        return []
    seen = observed.axis.x(np.unique(observed.series["step"].to_numpy(dtype=float)))
    counts = by_seed.coincidences(before, after, float(np.log(settings.window)), float(np.median(np.diff(seen))))
    return [by_seed.precursor(counts, count)]


def _matrices(observed: Observed, settings: Stages) -> Labelled:
    """Tests of barriers with distances of behaviour, and of behaviour by cluster, at the last step with both."""
    out: Labelled = []
    barriers = observed.pairs[observed.pairs["series"].str.startswith(BARRIER)]
    for connectivity, rows in barriers.groupby("series", sort=False):
        if not chosen(rows, settings.connectivity):
            continue
        divided: dict[str, Int[np.ndarray, " seeds"]] = {}
        for behaviour in [*last_step.distance_names(observed.pairs), *behaviours(observed.series, settings)]:
            if (common := last_step.common(rows, behaviour, observed)) is None:
                continue
            step, seeds, a, b, scores, loss = common
            random = stream(settings, f"{connectivity} matrix", behaviour)
            orders = _orders(len(seeds), settings)
            strength = power.matrix(a, b, settings.coupling, orders, random)
            who = f"{step} {sorted(map(str, seeds))}"
            tests = [(matrices.mantel(a, b, orders), strength)]
            if loss is not None and len(seeds) >= MIN_SEEDS_GIVEN:
                partial = (
                    matrices.distances_given_loss(a, b, loss, settings.permutations, random) if scores is None
                    else matrices.given_loss(a, scores, loss, orders)
                )  # fmt: skip
                tests.append((partial, np.nan))
            if scores is not None and len(seeds) >= clusters.MIN_SEEDS:
                if who not in divided:
                    divided[who] = clusters.clusters(a, stream(settings, "clusters", step)).labels
                labels = divided[who]
                if labels.any():
                    tests.append((clusters.by_cluster(labels, scores, orders), np.nan))
                    if loss is not None:
                        tests.append((clusters.by_cluster(labels, scores, orders, loss), np.nan))
            label = {"connectivity": str(connectivity), "behaviour": behaviour, "step": step, "seeds": len(seeds),
                     "who": who}  # fmt: skip
            out += [({**label, "power": strength}, one) for one, strength in tests]
    return out


def _common(dated: Dated, connectivity: str, behaviour: str) -> tuple[list[Hashable], np.ndarray, np.ndarray]:
    """Seeds that have onsets of both series, and these onsets."""
    (ours, c), (theirs, b) = dated.onsets[connectivity], dated.onsets[behaviour]
    seeds = sorted(set(ours) & set(theirs), key=str)
    return seeds, c[[ours.index(seed) for seed in seeds]], b[[theirs.index(seed) for seed in seeds]]


def _loss_onsets(dated: Dated, seeds: list[Hashable]) -> np.ndarray | None:
    """Onsets of the loss in these seeds; None if one is missing."""
    if LOSS not in dated.onsets or not set(seeds) <= set(dated.onsets[LOSS][0]):
        return None
    names, at = dated.onsets[LOSS]
    return np.asarray(at[[names.index(seed) for seed in seeds]])


def _together(
    dated: Dated, connectivity: str, behaviour: str, seeds: list[Hashable]
) -> tuple[list[Hashable], np.ndarray, np.ndarray] | None:
    """Seeds that cover the steps that half of them cover, and curves of both series on an even grid of these steps.

    None if there are too few seeds, or if a curve is missing.
    """
    pair = connectivity, behaviour
    if not all((name, seed) in dated.curves for name in pair for seed in seeds):
        return None
    spans = [covering({seed: dated.curves[name, seed].x for seed in seeds}) for name in pair]
    kept = [seed for seed in seeds if all(seed in span for span in spans)]
    if len(kept) < MIN_SEEDS:
        return None
    own = [dated.curves[name, seed] for name in pair for seed in kept]
    grid = np.linspace(max(c.x[0] for c in own), min(c.x[-1] for c in own), GRID)
    if grid[0] >= grid[-1]:
        return None
    values = np.stack([np.interp(grid, c.x, c.mean) for c in own])
    return kept, values[: len(kept)], values[len(kept) :]


def _dates(dated: Dated, series: str, seed: Hashable) -> np.ndarray:
    """Draws of the dates of events that happen in a run, without its half-rise; ``[events, draws]``."""
    dates = [event.at for event in dated.events.get((series, seed), []) if event.name != "half_rise"]
    finite = [np.where(np.isfinite(at), at, np.median(at)) for at in dates if np.isfinite(np.median(at))]
    return np.stack(finite) if finite else np.empty((0, 1))


def _ends(observed: Observed) -> tuple[float, float]:
    """The first and the last coordinate of any series on the axis of training."""
    steps = observed.axis.x(observed.series["step"].to_numpy(dtype=float))
    return float(steps.min()), float(steps.max())


def _gap(observed: Observed, names: list[str], at: float) -> float:
    """Width of the gap between checkpoints around a coordinate: the widest of several series."""
    widths = []
    for name in names:
        steps = observed.series.loc[observed.series["series"] == name, "step"].to_numpy(dtype=float)
        x = np.unique(observed.axis.x(steps))
        right = int(np.clip(np.searchsorted(x, at), 1, len(x) - 1))
        widths.append(float(x[right] - x[right - 1]))
    return max(widths)


def _finite(at: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Onsets with infinite dates at the ends of training."""
    return np.asarray(np.clip(at, *ends))


def _censoring(c: np.ndarray, b: np.ndarray) -> dict[str, object]:
    """Number of seeds with an onset outside of training, and which bound the lead is if these are dated at its ends."""
    early, late = (np.median(c, axis=1), np.median(b, axis=1))
    outside = np.isinf(early) | np.isinf(late)
    longer = (late == np.inf) | (early == -np.inf)
    shorter = (late == -np.inf) | (early == np.inf)
    if longer.any() and shorter.any():
        bound = "unknown"
    else:
        bound = "at least" if longer.any() else "at most" if shorter.any() else ""
    return {"censored": int(outside.sum()), "bound": bound}


def _orders(seeds: int, settings: Stages) -> Int[np.ndarray, "orders seeds"]:
    """Permutations, the same for all tests with this number of seeds, so that statistics of tests are comparable."""
    return permutations.orders(seeds, settings.permutations, np.random.default_rng([settings.seed, seeds]))


def stream(settings: Stages, *names: object) -> np.random.Generator:
    """A separate random stream for each combination of names, so that adding a series does not change other numbers."""
    return np.random.default_rng([settings.seed, *(zlib.crc32(str(name).encode()) for name in names)])


def is_primary(row: Mapping[Hashable, Any], preregistered: Primary | None) -> bool:
    """Whether the row of a test is the primary association."""
    primary = preregistered and (preregistered.connectivity, preregistered.behaviour, preregistered.test)
    return (row["connectivity"], row["behaviour"], row["test"]) == primary and row["hypothesis"] == SEED


def _verdict(row: dict[str, Any]) -> str:
    """The conclusion from one test."""
    if pd.isna(row["p"]):
        return "within one gap between checkpoints" if row["test"] == "lead" else "described"
    if row["p_floor"] > LEVEL:
        return f"cannot be shown with {row['seeds']} seeds"
    shown = row["q"] <= LEVEL
    if row["hypothesis"] != SEED:
        return "one comes first" if shown else "not shown"
    return ("coupled" if row["primary"] else "coupled (exploratory)") if shown else "not shown"
