"""Curves, events and onsets of all series."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from landscape.settings import Stages
from landscape.stages import changepoints, events, onsets, staging
from landscape.stages.association import Times
from landscape.stages.events import Event
from landscape.stages.series import BARRIER, LLC, LOSS, Observed
from landscape.stages.smooth import LEAST, Curves, smooth

BOUNDING = ("extremum", "plateau", "break", "state")
SETTLING = (f"{BARRIER}:children", f"{BARRIER}:last")
"""Barriers that fall to zero and stay there; what is dated is when."""
CONNECTED = 0.02
"""Share of the fall of the loss below which a barrier counts as none (Frankle et al. 2020 take 2 % of error)."""
WITHOUT_LOSS = 0.05
"""Share of the largest barrier, where no loss is known."""
MANY = 10_000
"""Values of all curves together from which several processes fit them."""
EVENTS = ("series", "seed", "event", "way", "step", "low", "high", "censored", "happened")
Key = tuple[str, Hashable]


@dataclass(frozen=True)
class Dated:
    """What was found in each series.

    Attributes:
        curves: By series and seed.
        means: Over the seeds, by series.
        events: By series and seed, ``all`` being the mean over seeds; the crossing or settling is the onset.
        onsets: For each series the seeds and the draws of their onsets.
        threshold: Barrier below which two checkpoints are connected.
        notes: What could not be dated, and why.
    """

    curves: dict[Key, Curves]
    means: dict[str, Curves]
    events: dict[Key, list[Event]]
    onsets: dict[str, tuple[list[Hashable], Times]]
    threshold: float
    notes: list[str]


def date(observed: Observed, settings: Stages) -> Dated:
    """Smooth the series of connectivity, those beside them, loss and coefficient, and date their events."""
    notes: list[str] = []
    with threadpool_limits(1):  # the matrices are small
        names = [*chosen(observed.series, settings.connectivity), *beside(observed.series, settings)]
        names += [LOSS, LLC, settings.boundaries or LOSS]
        wanted = observed.series[observed.series["series"].isin(names)]
        curves = _curves(wanted, settings, notes)
        threshold = _threshold(observed.series, settings)
        found: dict[Key, list[Event]] = {}
        times: dict[str, tuple[list[Hashable], Times]] = {}
        means: dict[str, Curves] = {}
        for name, rows in wanted.groupby("series", sort=False):
            series = str(name)
            seeds = [seed for seed in pd.unique(rows["seed"]) if (series, seed) in curves]
            own = [curves[series, seed] for seed in seeds]
            if own and events.changes(own):
                level, rising = events.halfway(own)
                for seed, one in zip(seeds, own, strict=True):
                    found[series, seed] = [*_shape(one), events.crossing(one, level, rising)]
                mean = staging.mean_run(own, _random(settings, series, staging.EVERYONE)) if len(own) > 1 else None
                if mean is not None:
                    means[series] = mean
                    onset = [] if series in SETTLING else [events.crossing(mean, level, rising)]
                    found[series, staging.EVERYONE] = [*_shape(mean), *onset]
                times[series] = seeds, np.stack([found[series, seed][-1].at for seed in seeds])
            elif own and series not in SETTLING:
                notes.append(f"{series} does not change for certain over training: it has no onset")
            if series in SETTLING and (settled := _settled(observed, series, rows, threshold, settings)):
                for seed, event in settled.items():
                    found[series, seed] = [*found.get((series, seed), [])[:-1], event]
                times[series] = list(settled), np.stack([event.at for event in settled.values()])
                if len(settled) > 1:
                    event = onsets.middle(list(settled.values()), _random(settings, f"{series} settles", "all"))
                    found[series, staging.EVERYONE] = [*found.get((series, staging.EVERYONE), []), event]
    return Dated(curves, means, found, times, threshold, notes)


def chosen(series: pd.DataFrame, patterns: Sequence[str]) -> list[str]:
    """Names of series that match one of some patterns."""
    names = [str(name) for name in pd.unique(series["series"])]
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def beside(series: pd.DataFrame, settings: Stages) -> list[str]:
    """Names of the series that connectivity is laid beside."""
    connectivity = set(chosen(series, settings.connectivity))
    if settings.behaviour is not None:
        return [name for name in chosen(series, settings.behaviour) if name not in connectivity]
    main = series.loc[series["headline"].astype(bool), "series"]
    return [str(name) for name in pd.unique(main) if name not in {*connectivity, LOSS} and not name.startswith(BARRIER)]


def table(dated: Dated, observed: Observed) -> pd.DataFrame:
    """All events: ``series, seed`` and the columns of :func:`landscape.stages.events.row`."""
    steps = {key: np.log1p(np.sort(part["step"].to_numpy(dtype=float)))
             for key, part in observed.series.groupby(["series", "seed"], sort=False)}  # fmt: skip
    every = {name: np.log1p(np.sort(part["step"].unique().astype(float)))
             for name, part in observed.series.groupby("series", sort=False)}  # fmt: skip
    rows: list[dict[str, Any]] = []
    for (series, seed), found in dated.events.items():
        for event in found:
            if seed != staging.EVERYONE:
                seen = steps[series, seed]
            else:
                seen = every[series] if event.kind == "settles" else dated.means[series].seen
            rows.append({"series": series, "seed": str(seed), **events.row(event, seen)})
    return pd.DataFrame(rows, columns=list(EVENTS))


def boundaries(events_of: list[Event]) -> list[Event]:
    """Those among them that bound stages."""
    return [event for event in events_of if event.kind in BOUNDING]


def bounded(dated: Dated, series: str, settings: Stages) -> Dated:
    """The same with the boundaries of one series found by the engine of the settings, not as extrema and plateaus."""
    random = _random(settings, series, settings.engine)
    with threadpool_limits(1):
        found = changepoints.bounded_by(settings.engine, series, dated.curves, dated.means, random)
    known = dict(dated.events)
    for key in [key for key in known if key[0] == series]:
        rest = [event for event in known[key] if event.kind not in BOUNDING]
        known[key] = [*sorted(found.get(key[1], []), key=lambda event: float(np.median(event.at))), *rest]
    return replace(dated, events=known)


def _shape(curves: Curves) -> list[Event]:
    return [*events.boundaries(curves), *events.fastest(curves)]


def _curves(series: pd.DataFrame, settings: Stages, notes: list[str]) -> dict[Key, Curves]:
    wanted: dict[Key, dict[str, Any]] = {}
    short: dict[str, int] = {}
    for (name, seed), rows in series.groupby(["series", "seed"], sort=False):
        part = rows.dropna(subset=["value"]).sort_values("step")
        if len(part) < LEAST:
            short[str(name)] = len(part)
            continue
        columns = {column: part[column].to_numpy(dtype=float) for column in ("step", "value", "error")}
        random = _random(settings, str(name), seed)
        wanted[str(name), seed] = {**columns, "draws": settings.draws, "random": random}
    notes += (
        f"{name} is known at {count} steps in some seed, and a curve needs {LEAST}: no events"
        for name, count in short.items()
    )
    # A process more costs seconds of imports; a curve of a hundred checkpoints takes a fifth of one.
    processes = -1 if sum(len(given["step"]) for given in wanted.values()) > MANY else 1
    fitted = Parallel(n_jobs=processes)(delayed(smooth)(**given) for given in wanted.values())
    return dict(zip(wanted, fitted, strict=True))


def _settled(
    observed: Observed, series: str, rows: pd.DataFrame, threshold: float, settings: Stages
) -> dict[Hashable, Event]:
    """When each seed settles that is known at two steps or more."""
    return {
        seed: onsets.settles(*_falling(observed, series, seed, settings), threshold)
        for seed in pd.unique(rows["seed"]) if (rows["seed"] == seed).sum() > 1
    }  # fmt: skip


def _falling(observed: Observed, series: str, seed: Hashable, settings: Stages) -> tuple[np.ndarray, np.ndarray]:
    """Steps and draws of a barrier that falls: of children by resampling them, else by the error of each value."""
    random = _random(settings, f"{series} settles", seed)
    if series == f"{BARRIER}:children":
        rows = observed.partings[observed.partings["seed"] == seed]
        groups = list(rows.groupby("parted"))
        if groups:
            pairs = [
                (g["value"].to_numpy(), g["error"].to_numpy(), g[["child_a", "child_b"]].to_numpy()) for _, g in groups
            ]
            return np.array([float(parted) for parted, _ in groups]), onsets.resampled(pairs, settings.draws, random)
    rows = observed.series[(observed.series["series"] == series) & (observed.series["seed"] == seed)]
    rows = rows.sort_values("step")
    values = rows["value"].to_numpy(dtype=float)
    # The examples are the same at all steps, and so is most of their error.
    noisy = values + float(np.nan_to_num(rows["shared_error"].mean())) * random.standard_normal((settings.draws, 1))
    return rows["step"].to_numpy(dtype=float), noisy


def _threshold(series: pd.DataFrame, settings: Stages) -> float:
    if settings.threshold is not None:
        return settings.threshold
    losses = series[series["series"] == LOSS]
    if len(losses):
        by_step = losses.groupby("step")["value"].mean().sort_index()
        if (fall := float(by_step.iloc[0] - by_step.iloc[-1])) > 0:
            return CONNECTED * fall
    barriers = series.loc[series["series"].str.startswith(BARRIER), "value"]
    return WITHOUT_LOSS * float(barriers.max()) if len(barriers) and barriers.max() > 0 else CONNECTED


def _random(settings: Stages, series: str, seed: Hashable) -> np.random.Generator:
    """A stream of its own for every curve, so that another series more changes no number."""
    return np.random.default_rng([settings.seed, zlib.crc32(series.encode()), zlib.crc32(str(seed).encode())])
