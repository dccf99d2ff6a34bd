"""Every test on every pair of a connectivity and a behaviour, with multiplicity and power."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from landscape.shapes import Int
from landscape.stages.association import aligned, by_seed, clusters, matrices, permutations, population, power
from landscape.stages.association.by_seed import SEED, Association
from landscape.stages.events.dating import Dated, beside, chosen
from landscape.stages.series.observed import BARRIER, LOSS, SHARED, Observed
from landscape.stages.series.runs import covering
from landscape.stages.settings import Primary, Stages

LEAST_SEEDS = 3
FEW_SEEDS = 4
"""At so many seeds or fewer nearly nothing can be shown."""
LEAST_GIVEN = 5
"""Seeds that a partial test needs."""
LEVEL = 0.05
GRID = 60
COLUMNS = (
    "connectivity", "behaviour", "step", "hypothesis", "test", "effect", "low", "high", "p", "p_floor", "q", "p_family",
    "power", "seeds", "primary", "verdict", "censored", "bound", "unreliable", "effect_without", "p_without",
)  # fmt: skip
Found = list[tuple[dict[str, Any], Association]]


def associations(observed: Observed, dated: Dated, settings: Stages, preregistered: Primary | None) -> pd.DataFrame:
    """A row for each test.

    ``q`` is Benjamini and Hochberg's over all tests of a hypothesis but the primary one, ``p_family`` the p value of
    the largest statistic over the pairs that a test was made on, ``power`` that of the design for a coupling of
    ``settings.coupling``. The primary association is tested alone: its q is its p.

    Args:
        observed: What was measured.
        dated: Its curves, events and onsets.
        settings: Which series, how many permutations.
        preregistered: The primary association, if it was preregistered.
    """
    found: Found = []
    with threadpool_limits(1):
        for connectivity in chosen(observed.series, settings.connectivity):
            for behaviour in beside(observed.series, settings):
                found += _timing(connectivity, behaviour, observed, dated, settings)
        found += _matrices(observed, settings)
    rows = pd.DataFrame([{**labels, **asdict(one)} for labels, one in found])
    if rows.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    rows["primary"] = [matches(row, preregistered) for row in rows.to_dict("records")]
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


def beside_without(rows: pd.DataFrame, without: pd.DataFrame) -> pd.DataFrame:
    """The tests with the effect and the p value of each without some seeds.

    Args:
        rows: From :func:`associations`.
        without: The same of the others alone.
    """
    if rows.empty or without.empty:
        return rows
    keys = ["connectivity", "behaviour", "hypothesis", "test"]
    others = without[[*keys, "effect", "p"]].rename(columns={"effect": "effect_without", "p": "p_without"})
    return rows.drop(columns=["effect_without", "p_without"]).merge(others, on=keys, how="left")[list(COLUMNS)]


def _timing(connectivity: str, behaviour: str, observed: Observed, dated: Dated, settings: Stages) -> Found:
    """The tests on onsets, trajectories and events of two series, on the seeds that have both."""
    if connectivity not in dated.onsets or behaviour not in dated.onsets:
        return []
    seeds, c, b = _common(dated, connectivity, behaviour)
    if len(seeds) < LEAST_SEEDS:
        return []
    random = stream(settings, connectivity, behaviour)
    orders = _orders(len(seeds), settings)
    who = str(sorted(map(str, seeds)))
    found: list[tuple[Association, float]] = [
        (by_seed.onset(c, b, orders), power.onset(c, b, settings.coupling, orders, random))
    ]
    ends = _ends(observed)
    if (given := _given(dated, seeds)) is not None and len(seeds) >= LEAST_GIVEN and behaviour != LOSS:
        c_, b_, given = (_finite(at, ends) for at in (c, b, given))
        found.append((by_seed.onset_given(c_, b_, given, orders), np.nan))
    labels = {"connectivity": connectivity, "behaviour": behaviour, "step": np.nan, "seeds": len(seeds), "who": who}
    own: dict[str, dict[str, Any]] = {"lead": _censoring(c, b)}
    if (curves := _together(dated, connectivity, behaviour, seeds)) is not None:
        kept, x, y = curves
        own["trajectory"] = {"seeds": len(kept), "who": str(sorted(map(str, kept)))}
        found.append((by_seed.trajectory(by_seed.likeness(x, y)), np.nan))
    found += [(one, np.nan) for one in _coincidence(connectivity, behaviour, seeds, observed, dated, settings)]
    c_, b_ = _finite(c, ends), _finite(b, ends)
    first = population.lead(
        c_, b_, shared=connectivity in SHARED, gap=_gap(observed, [connectivity, behaviour], float(np.median(b_))),
        count=settings.permutations, random=random,
    )  # fmt: skip
    middle = np.median(b_ - c_, axis=1)
    found.append((first, power.lead(middle, random)))
    return [({**labels, **own.get(one.test, {}), "power": strength}, one) for one, strength in found]


def _coincidence(
    connectivity: str, behaviour: str, seeds: list[Hashable], observed: Observed, dated: Dated, settings: Stages
) -> list[Association]:
    """How often events follow events; nothing where there are no events."""
    before, after = ([_dates(dated, name, seed) for seed in seeds] for name in (connectivity, behaviour))
    count = np.array([len(one) for one in after])
    if not count.any() or not any(len(one) for one in before):
        return []
    seen = observed.axis.x(np.unique(observed.series["step"].to_numpy(dtype=float)))
    counts = by_seed.coincidences(before, after, float(np.log(settings.window)), float(np.median(np.diff(seen))))
    return [by_seed.precursor(counts, count)]


def _matrices(observed: Observed, settings: Stages) -> Found:
    """Barriers beside distances of behaviour, and behaviour by cluster, at the last step that has both."""
    out: Found = []
    barriers = observed.pairs[observed.pairs["series"].str.startswith(BARRIER)]
    for connectivity, rows in barriers.groupby("series", sort=False):
        if not chosen(rows, settings.connectivity):
            continue
        divided: dict[str, Int[np.ndarray, " seeds"]] = {}
        for behaviour in [*aligned.distance_names(observed.pairs), *beside(observed.series, settings)]:
            found = aligned.aligned(rows, behaviour, observed)
            if found is None:
                continue
            step, seeds, a, b, scores, loss = found
            random = stream(settings, f"{connectivity} matrix", behaviour)
            orders = _orders(len(seeds), settings)
            strength = power.matrix(a, b, settings.coupling, orders, random)
            who = f"{step} {sorted(map(str, seeds))}"
            tests = [(matrices.mantel(a, b, orders), strength)]
            if loss is not None and len(seeds) >= LEAST_GIVEN:
                given = (
                    matrices.distances_given_loss(a, b, loss, settings.permutations, random) if scores is None
                    else matrices.given_loss(a, scores, loss, orders)
                )  # fmt: skip
                tests.append((given, np.nan))
            if scores is not None and len(seeds) >= clusters.LEAST:
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
    """Seeds that both series are dated in, and their onsets."""
    (ours, c), (theirs, b) = dated.onsets[connectivity], dated.onsets[behaviour]
    seeds = sorted(set(ours) & set(theirs), key=str)
    return seeds, c[[ours.index(seed) for seed in seeds]], b[[theirs.index(seed) for seed in seeds]]


def _given(dated: Dated, seeds: list[Hashable]) -> np.ndarray | None:
    if LOSS not in dated.onsets or not set(seeds) <= set(dated.onsets[LOSS][0]):
        return None
    names, at = dated.onsets[LOSS]
    return np.asarray(at[[names.index(seed) for seed in seeds]])


def _together(
    dated: Dated, connectivity: str, behaviour: str, seeds: list[Hashable]
) -> tuple[list[Hashable], np.ndarray, np.ndarray] | None:
    """Seeds that cover the stretch that half of them cover, and curves of both series on one even grid of it.

    None if there are too few, or none has both curves.
    """
    pair = connectivity, behaviour
    if not all((name, seed) in dated.curves for name in pair for seed in seeds):
        return None
    spans = [covering({seed: dated.curves[name, seed].x for seed in seeds}) for name in pair]
    kept = [seed for seed in seeds if all(seed in span for span in spans)]
    if len(kept) < LEAST_SEEDS:
        return None
    own = [dated.curves[name, seed] for name in pair for seed in kept]
    grid = np.linspace(max(c.x[0] for c in own), min(c.x[-1] for c in own), GRID)
    if grid[0] >= grid[-1]:
        return None
    values = np.stack([np.interp(grid, c.x, c.mean) for c in own])
    return kept, values[: len(kept)], values[len(kept) :]


def _dates(dated: Dated, series: str, seed: Hashable) -> np.ndarray:
    """Draws of the events of a series that do happen, its onset aside where there is a curve to date others in."""
    found = dated.events.get((series, seed), [])
    kinds = [e for e in found if e.kind != "crossing" and np.isfinite(np.median(e.at))]
    return np.stack([np.where(np.isfinite(e.at), e.at, np.median(e.at)) for e in kinds]) if kinds else np.empty((0, 1))


def _ends(observed: Observed) -> tuple[float, float]:
    """The first and the last place of anything on the axis of training."""
    steps = observed.axis.x(observed.series["step"].to_numpy(dtype=float))
    return float(steps.min()), float(steps.max())


def _gap(observed: Observed, names: list[str], place: float) -> float:
    """Width of the gap between checkpoints around a place: the wider one of two series."""
    widths = []
    for name in names:
        steps = observed.series.loc[observed.series["series"] == name, "step"].to_numpy(dtype=float)
        x = np.unique(observed.axis.x(steps))
        right = int(np.clip(np.searchsorted(x, place), 1, len(x) - 1))
        widths.append(float(x[right] - x[right - 1]))
    return max(widths)


def _finite(at: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """What never happens is taken for the end of training, what had happened before for its beginning."""
    return np.asarray(np.clip(at, *ends))


def _censoring(c: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    """How many seeds have an onset outside of training, and what the lead, with its ends for their dates, is then."""
    early, late = (np.median(c, axis=1), np.median(b, axis=1))
    outside = np.isinf(early) | np.isinf(late)
    more = (late == np.inf) | (early == -np.inf)
    less = (late == -np.inf) | (early == np.inf)
    bound = "unknown" if more.any() and less.any() else "at least" if more.any() else "at most" if less.any() else ""
    return {"censored": int(outside.sum()), "bound": bound}


def _orders(seeds: int, settings: Stages) -> Int[np.ndarray, "orders seeds"]:
    """The same for all tests of as many seeds, so that their statistics can be compared."""
    return permutations.orders(seeds, settings.permutations, np.random.default_rng([settings.seed, seeds]))


def stream(settings: Stages, *names: object) -> np.random.Generator:
    """A stream of its own for everything that is named, so that another series more changes no number."""
    return np.random.default_rng([settings.seed, *(zlib.crc32(str(name).encode()) for name in names)])


def matches(row: Mapping[Hashable, Any], preregistered: Primary | None) -> bool:
    """Whether the row of a test is the primary association."""
    wanted = preregistered and (preregistered.connectivity, preregistered.behaviour, preregistered.test)
    return (row["connectivity"], row["behaviour"], row["test"]) == wanted and row["hypothesis"] == SEED


def _verdict(row: dict[str, Any]) -> str:
    """What may be said."""
    if pd.isna(row["p"]):
        return "within one gap between checkpoints" if row["test"] == "lead" else "described"
    if row["p_floor"] > LEVEL:
        return f"cannot be shown with {row['seeds']} seeds"
    shown = row["q"] <= LEVEL
    if row["hypothesis"] != SEED:
        return "one comes first" if shown else "not shown"
    return ("coupled" if row["primary"] else "coupled (exploratory)") if shown else "not shown"
