"""Outlier runs: seeds that end far from the others, such as failed runs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from landscape.shapes import Float
from landscape.stages.events.dating import Dated
from landscape.stages.series.observed import Observed

MIN_SEEDS = 5
"""Seeds that a test for outliers needs."""
LEVEL = 0.05
MAX_SHARE = 0.25
"""Largest share of outliers among the seeds; a larger group is a cluster."""
WORLDS = 9999
NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
COLUMNS = ("series", "seed", "step", "value", "median", "z", "p")


def outliers(observed: Observed, random: np.random.Generator) -> pd.DataFrame:
    """Seeds whose last value of a series is an outlier among the seeds, with the smallest p first.

    ``z = (value - median) / (1.4826 median |value - median|)`` over the seeds at the last step that half of them reach.
    If the errors of the values exceed this deviation, they are the denominator. The p value is the share of simulated
    samples of normal seeds whose largest ``|z|`` is at least as large, corrected for the number of series (Sidak). Only
    the last value is tested, because earlier on a late run is as far from the others as a failed one.

    Args:
        observed: Measurements.
        random: Source of randomness, for the simulated seeds.

    Returns:
        ``series, seed, step, value, median, z, p`` of values with ``p <= 0.05``.
    """
    ends = [(str(name), rows) for name, part in observed.series.groupby("series", sort=False)
            if len(rows := _last(part)) >= MIN_SEEDS]  # fmt: skip
    tables, null = [], {}
    for name, rows in ends:
        value = rows["value"].to_numpy(dtype=float)
        z = robust(value, _error(rows))
        if len(value) not in null:
            null[len(value)] = largest(random.standard_normal((WORLDS, len(value))))
        alone = (1 + (null[len(value)] >= np.abs(z)[:, None]).sum(axis=1)) / (WORLDS + 1)
        p = 1 - (1 - alone) ** len(ends)
        if (p <= LEVEL).sum() <= MAX_SHARE * len(value):
            own = rows.assign(series=name, median=float(np.median(value)), z=z, p=p)
            tables.append(own[own["p"] <= LEVEL])
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
    return table[list(COLUMNS)].sort_values("p", kind="stable", ignore_index=True)


def robust(values: Float[np.ndarray, "*worlds seeds"], error: float = 0.0) -> Float[np.ndarray, "*worlds seeds"]:
    """Robust z-score of each seed, in robust deviations; 0 if half of the seeds are equal and no error is known."""
    apart = values - np.median(values, axis=-1, keepdims=True)
    spread = np.maximum(NORMAL * np.median(np.abs(apart), axis=-1, keepdims=True), error)
    return np.asarray(np.divide(apart, spread, out=np.zeros_like(apart), where=spread > 0))


def largest(values: Float[np.ndarray, "worlds seeds"]) -> Float[np.ndarray, " worlds"]:
    """Largest absolute robust z-score of each world."""
    return np.asarray(np.abs(robust(values)).max(axis=-1))


def without(observed: Observed, dated: Dated, seeds: Sequence[Hashable]) -> tuple[Observed, Dated]:
    """Measurements and events without some seeds.

    Args:
        observed: Measurements.
        dated: Curves and events.
        seeds: Seeds to leave out.
    """
    gone = set(seeds)
    series = observed.series[~observed.series["seed"].isin(gone)]
    pairs = observed.pairs[~(observed.pairs["seed_a"].isin(gone) | observed.pairs["seed_b"].isin(gone))]
    onsets = {}
    for name, (names, at) in dated.onsets.items():
        kept = [n for n, seed in enumerate(names) if seed not in gone]
        onsets[name] = [names[n] for n in kept], at[kept]
    curves = {key: curve for key, curve in dated.curves.items() if key[1] not in gone}
    events = {key: own for key, own in dated.events.items() if key[1] not in gone}
    return replace(observed, series=series, pairs=pairs), replace(dated, onsets=onsets, curves=curves, events=events)


def _last(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows at the last step that half of the seeds reach."""
    rows = rows.dropna(subset=["value"])
    counts = rows.groupby("step")["seed"].nunique()
    reached = counts[counts >= rows["seed"].nunique() / 2]
    return rows[rows["step"] == reached.index.max()] if len(reached) else rows.iloc[:0]


def _error(rows: pd.DataFrame) -> float:
    """The larger of the two mean errors of the values; 0 if none is known."""
    known = [rows[name].astype(float).mean() for name in ("error", "shared_error") if name in rows]
    return float(np.nanmax([0.0, *known]))
