"""Curves, events and onsets of all series."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from landscape.stages.association.by_seed import Dates
from landscape.stages.events import changepoints, changes, evidence, onsets, staging
from landscape.stages.events.changes import Event
from landscape.stages.series.observed import BARRIER, LLC, LOSS, OF_BRANCHES, TO_LAST, Observed, Z
from landscape.stages.series.runs import Measured, mean_run, measured, seeds_of_mean
from landscape.stages.series.smooth import Curves, smooth
from landscape.stages.settings import Stages

BOUNDING = ("extremum", "plateau", "break", "state")
STABILISING = (OF_BRANCHES, TO_LAST)
"""Series of barriers that fall to zero and stay there; the time to stable connectivity is dated."""
CONNECTED = 0.02
"""Threshold of connectivity, as a share of the fall of the loss (Frankle et al. 2020 use 2 % of error)."""
FLOOR = 0.01
"""Negligible change of a barrier, in nats; for losses in another unit, a share of the largest loss."""
WITHOUT_LOSS = 0.05
"""Threshold of connectivity where no loss is known, as a share of the largest barrier."""
PARALLEL = 10_000
"""Number of values in all curves above which several processes fit them."""
STABLE_STREAM = "settles"
"""Name of the random stream of stable connectivity; a change of it changes the drawn numbers."""
EVENTS = ("series", "seed", "event", "way", "step", "low", "high", "censored", "happened", "unreliable")
Key = tuple[str, Hashable]


@dataclass(frozen=True)
class Dated:
    """Curves and events of every series.

    Attributes:
        curves: Curves by series and seed.
        means: Mean curves over seeds, by series.
        events: Events by series and seed; the seed ``all`` is the mean over seeds.
        onsets: For each series the seeds and the draws of their onsets, which are ``half_rise`` or ``stable``.
        threshold: Barrier below which two checkpoints are connected, in units of the barriers.
        notes: What could not be dated, and why.
    """

    curves: dict[Key, Curves]
    means: dict[str, Curves]
    events: dict[Key, list[Event]]
    onsets: dict[str, tuple[list[Hashable], Dates]]
    threshold: float
    notes: list[str]


@dataclass(frozen=True)
class _SeriesEvents:
    """Events of one series, from one method."""

    events: dict[Hashable, list[Event]]
    onset: tuple[list[Hashable], Dates] | None = None
    mean: Curves | None = None
    notes: tuple[str, ...] = ()


def date(observed: Observed, settings: Stages) -> Dated:
    """Smooth the series of connectivity and behaviour, the loss and the coefficient, and date their events."""
    names = [*chosen(observed.series, settings.connectivity), *behaviours(observed.series, settings)]
    names += [LOSS, LLC, settings.boundaries or LOSS]
    rows_of = observed.series[observed.series["series"].isin(names)].groupby("series", sort=False)
    parts = {str(name): rows for name, rows in rows_of}
    threshold = _threshold(observed, settings)
    results: list[tuple[str, _SeriesEvents]] = []
    with threadpool_limits(1):  # the matrices are small
        runs = {series: measured(series, rows, observed.axis) for series, rows in parts.items()}
        curves = _curves({series: own for series, (own, _) in runs.items()}, settings)
        for series, rows in parts.items():
            if own := runs[series][0]:
                smoothed = {seed: curves[series, seed] for seed in own}
                results.append((series, _changes(observed, series, rows, own, smoothed, settings)))
            if series in STABILISING:
                results.append((series, _stability(observed, series, rows, threshold, settings)))
    dated: dict[Key, list[Event]] = {}
    for series, result in results:
        for seed, own_events in result.events.items():
            dated.setdefault((series, seed), []).extend(own_events)
    return Dated(
        curves,
        {series: result.mean for series, result in results if result.mean is not None},
        {key: own_events for key, own_events in dated.items() if own_events},
        {series: result.onset for series, result in results if result.onset is not None},
        threshold,
        [note for _, of_runs in runs.values() for note in of_runs] + [note for _, one in results for note in one.notes],
    )


def _changes(
    observed: Observed, series: str, rows: pd.DataFrame, runs: Mapping[Hashable, Measured],
    curves: Mapping[Hashable, Curves], settings: Stages,
) -> _SeriesEvents:  # fmt: skip
    """Extrema and plateaus; if the series significantly changes, also its fastest change and its onset."""
    kept, notes = seeds_of_mean(runs, series, observed.axis)
    shown, smoothed, several = dict(runs), dict(curves), None
    mean, curve = runs[kept[0]], curves[kept[0]]
    if len(kept) > 1:
        random = _random(settings, series, staging.EVERYONE)
        mean, curve = mean_run({seed: runs[seed] for seed in kept}, curves, random)
        shown[staging.EVERYONE], smoothed[staging.EVERYONE], several = mean, curve, curve
    least = settings.least_change if series == (settings.boundaries or series) else 0.0
    events_of = {seed: _shape(run, smoothed[seed], least) for seed, run in shown.items()}
    if why := _unchanged(series, rows, mean, curve, negligible(observed, settings), observed.unit):
        notes += [] if series in STABILISING else [f"{series} {why}: it has no onset"]
        return _SeriesEvents(events_of, None, several, tuple(notes))
    level, rising = changes.half_level(curve)
    for seed, one in smoothed.items():
        events_of[seed] = [*events_of[seed], changes.fastest(one)]
    if series in STABILISING:
        return _SeriesEvents(events_of, None, several, tuple(notes))
    half_rises = {seed: changes.half_rise(one, level, rising) for seed, one in smoothed.items()}
    events_of = {seed: [*own, half_rises[seed]] for seed, own in events_of.items()}
    onset = list(runs), np.stack([half_rises[seed].at for seed in runs])
    return _SeriesEvents(events_of, onset, several, tuple(notes))


def _stability(
    observed: Observed, series: str, rows: pd.DataFrame, threshold: float, settings: Stages
) -> _SeriesEvents:
    """The time to stable connectivity of each seed whose barrier is known at two steps or more."""
    stable = {
        seed: onsets.stable(*_barrier_draws(observed, series, seed, settings), threshold)
        for seed in pd.unique(rows["seed"]) if (rows["seed"] == seed).sum() > 1
    }  # fmt: skip
    if not stable:
        return _SeriesEvents({})
    every: dict[Hashable, Event] = dict(stable)
    if len(stable) > 1:
        random = _random(settings, f"{series} {STABLE_STREAM}", staging.EVERYONE)
        every[staging.EVERYONE] = onsets.median_of_seeds(list(stable.values()), random)
    onset = list(stable), np.stack([event.at for event in stable.values()])
    return _SeriesEvents({seed: [event] for seed, event in every.items()}, onset)


def chosen(series: pd.DataFrame, patterns: Sequence[str]) -> list[str]:
    """Names of series that fit one of the patterns."""
    names = [str(name) for name in pd.unique(series["series"])]
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def behaviours(series: pd.DataFrame, settings: Stages) -> list[str]:
    """Names of the series of behaviour, which connectivity is compared with."""
    connectivity = set(chosen(series, settings.connectivity))
    if settings.behaviour is not None:
        return [name for name in chosen(series, settings.behaviour) if name not in connectivity]
    names = pd.unique(series.loc[series["headline"].astype(bool), "series"])
    return [str(name) for name in names if name not in {*connectivity, LOSS} and not name.startswith(BARRIER)]


def table(dated: Dated, observed: Observed) -> pd.DataFrame:
    """All events: ``series, seed`` and the columns of :func:`landscape.stages.events.changes.row`."""
    axis, unreliable = observed.axis, observed.unreliable
    steps = {key: axis.x(np.sort(part["step"].to_numpy(dtype=float)))
             for key, part in observed.series.groupby(["series", "seed"], sort=False)}  # fmt: skip
    every = {name: axis.x(np.sort(part["step"].unique().astype(float)))
             for name, part in observed.series.groupby("series", sort=False)}  # fmt: skip
    rows: list[dict[str, object]] = []
    for (series, seed), events_of in dated.events.items():
        for event in events_of:
            if seed != staging.EVERYONE:
                seen = steps[series, seed]
            else:
                seen = every[series] if event.name == "stable" else dated.means[series].x
            row = changes.row(event, seen, axis)
            rows.append({"series": series, "seed": str(seed), **row, "unreliable": series in unreliable})
    return pd.DataFrame(rows, columns=list(EVENTS))


def boundaries(events_of: list[Event]) -> list[Event]:
    """The events that bound stages."""
    return [event for event in events_of if event.name in BOUNDING]


def bounded(dated: Dated, series: str, settings: Stages) -> Dated:
    """The same, with the boundaries of one series from the engine of the settings, in place of extrema and plateaus.

    Args:
        dated: Curves and events.
        series: The series that bounds the stages.
        settings: Settings of the analysis.
    """
    random = _random(settings, series, settings.engine)
    with threadpool_limits(1):
        bounds = changepoints.bounded_by(settings.engine, series, dated.curves, dated.means, random)
    known = dict(dated.events)
    for key in [key for key in known if key[0] == series]:
        rest = [event for event in known[key] if event.name not in BOUNDING]
        known[key] = [*sorted(bounds.get(key[1], []), key=lambda event: float(np.median(event.at))), *rest]
    return replace(dated, events=known)


def _shape(run: Measured, curve: Curves, least: float) -> list[Event]:
    """Extrema and plateaus of a run: tested on its values, and dated by its curve."""
    turns = evidence.turning_points(run.value, run.sd, run.count)
    return changes.boundaries(curve, turns, evidence.paces(run.x, run.value, run.sd, run.count), least)


def _unchanged(series: str, rows: pd.DataFrame, mean: Measured, curve: Curves, floor: float, unit: str) -> str:
    """Why the events of a series are not dated; empty if its change is significant and not negligible."""
    if not evidence.changes(mean.value, mean.sd, mean.count):
        return "does not change significantly over training"
    far = int(np.abs(curve.mean - curve.mean[0]).argmax())
    change = abs(float(curve.mean[far] - curve.mean[0]))
    if series.startswith(BARRIER) and change < floor:
        return f"changes by {change:.2g}, less than the negligible {floor:.2g} {unit}".rstrip()
    shared = rows["shared_error"].to_numpy(dtype=float)
    chance = rows["chance"].to_numpy(dtype=float) if "chance" in rows else np.array([np.nan])
    if np.isfinite(shared).any() and np.isfinite(chance).any():
        above = float(np.abs(curve.mean - np.nanmean(chance)).max())
        if above < (least := Z * float(np.nanmean(shared))):
            return f"is never farther from chance ({above:.2g}) than the errors of its items explain ({least:.2g})"
    if np.isfinite(shared).any() and change < (least := Z * np.sqrt(2) * float(np.nanmean(shared))):
        return f"changes by {change:.2g}, which the errors of its examples or items explain ({least:.2g})"
    return ""


def _curves(runs: dict[str, dict[Hashable, Measured]], settings: Stages) -> dict[Key, Curves]:
    keys = [(series, seed) for series, own in runs.items() for seed in own]
    wanted = [runs[series][seed] for series, seed in keys]
    randoms = [_random(settings, series, seed) for series, seed in keys]
    # Another process costs seconds of imports; a curve of a hundred checkpoints takes a fraction of a second.
    processes = -1 if sum(len(run.x) for run in wanted) > PARALLEL else 1
    fitted = Parallel(n_jobs=processes)(
        delayed(smooth)(run.x, run.value, run.sd, run.count, draws=settings.draws, random=random)
        for run, random in zip(wanted, randoms, strict=True)
    )
    return dict(zip(keys, fitted, strict=True))


def _barrier_draws(observed: Observed, series: str, seed: Hashable, settings: Stages) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates and draws of a barrier: branches are resampled; other series vary by the error of their values."""
    random = _random(settings, f"{series} {STABLE_STREAM}", seed)
    if series == OF_BRANCHES:
        rows = observed.branch_steps[observed.branch_steps["seed"] == seed]
        groups = list(rows.groupby("branch_step"))
        if groups:
            pairs = [
                (g["value"].to_numpy(), g["error"].to_numpy(), g[["branch_a", "branch_b"]].to_numpy())
                for _, g in groups
            ]
            branch_step = observed.axis.x(np.array([float(step) for step, _ in groups]))
            return branch_step, onsets.resampled(pairs, settings.draws, random)
    rows = observed.series[(observed.series["series"] == series) & (observed.series["seed"] == seed)]
    rows = rows.sort_values("step")
    values = rows["value"].to_numpy(dtype=float)
    # The examples are the same at all steps, so they share most of their error.
    noisy = values + float(np.nan_to_num(rows["shared_error"].mean())) * random.standard_normal((settings.draws, 1))
    return observed.axis.x(rows["step"].to_numpy(dtype=float)), noisy


def negligible(observed: Observed, settings: Stages) -> float:
    """Change of a barrier that is negligible, in units of the loss."""
    if settings.floor is not None:
        return settings.floor
    if observed.unit.startswith("nats") or not observed.unit:
        return FLOOR
    losses = observed.series.loc[observed.series["series"] == LOSS, "value"]
    return FLOOR * float(losses.abs().max()) if len(losses) else 0.0


def _threshold(observed: Observed, settings: Stages) -> float:
    if settings.threshold is not None:
        return settings.threshold
    series, floor = observed.series, negligible(observed, settings)
    losses = series[series["series"] == LOSS]
    if len(losses):
        by_step = losses.groupby("step")["value"].mean().sort_index()
        if (fall := float(by_step.iloc[0] - by_step.iloc[-1])) > 0:
            return max(CONNECTED * fall, floor)
    barriers = series.loc[series["series"].str.startswith(BARRIER), "value"]
    return max(WITHOUT_LOSS * float(barriers.max()) if len(barriers) and barriers.max() > 0 else CONNECTED, floor)


def _random(settings: Stages, series: str, seed: Hashable) -> np.random.Generator:
    """A separate random stream for every curve, so that adding a series does not change the numbers of others."""
    return np.random.default_rng([settings.seed, zlib.crc32(series.encode()), zlib.crc32(str(seed).encode())])
