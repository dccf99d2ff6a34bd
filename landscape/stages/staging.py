"""Stages: the stretches of training between two boundaries, and what changes in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from landscape.stages import events
from landscape.stages.events import Event
from landscape.stages.smooth import Curves

EVERYONE = "all"
"""In place of a seed: the mean over the seeds."""
GRID = 200
CURVE = ("series", "step", "value", "low", "high")
STAGES = ("seed", "stage", "begins", "start", "start_low", "start_high", "end", "series", "change", "low", "high")


def mean_run(curves: Sequence[Curves], random: np.random.Generator) -> Curves | None:
    """The mean over the seeds, with draws that resample the seeds and then a draw of each.

    So its spread is that of seeds that were not run, beside that of the curves. None where the seeds have no stretch
    in common.

    Args:
        curves: Of each seed, with equally many draws.
        random: Source of randomness.
    """
    first, last = max(c.x[0] for c in curves), min(c.x[-1] for c in curves)
    if first >= last:
        return None
    x = np.linspace(first, last, GRID)
    draws = np.stack([_at(x, c) for c in curves])
    seeds, count = draws.shape[:2]
    if seeds == 1:
        return Curves(x, draws[0].mean(axis=0), draws[0], curves[0].seen, curves[0].noise)
    chosen = random.integers(seeds, size=(count, seeds))
    within = random.integers(count, size=(count, seeds))
    means = np.stack([draws[which, draw].mean(axis=0) for which, draw in zip(chosen, within, strict=True)])
    seen = np.unique(np.concatenate([c.seen for c in curves]))
    mean = np.mean([np.interp(x, c.x, c.mean) for c in curves], axis=0)
    return Curves(x, mean, means, seen[(seen >= first) & (seen <= last)], float("nan"))


def stages(bounds: Sequence[Event], series: Mapping[str, Curves]) -> list[dict[str, Any]]:
    """A row for each stage and series: where the stage begins and ends, and how much the series changes in it.

    Args:
        bounds: Boundaries in order.
        series: Curves of one seed, or of the mean; the first one is that of the boundaries.

    Returns:
        ``stage, start, start_low, start_high, end, series, change, low, high``; stages count from 1, and a change has
        its 90 % interval.
    """
    own = next(iter(series.values()))
    rows = [events.row(event, own.seen) for event in bounds]
    places = [events.quantile(event, 0.5) for event in bounds]
    edges = [own.x[0], *places, own.x[-1]]
    first: dict[str, Any] = {"step": events.step_at(own.x[0]), "low": np.nan, "high": np.nan, "event": "start"}
    out = []
    for n, (start, end) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        begins = rows[n - 1] if n else first
        for name, curves in series.items():
            # Where a series begins later or ends earlier, its change is that of the stretch that is known.
            a, b = np.clip([start, end], curves.x[0], curves.x[-1])
            change = _at(np.array([a, b]), curves) @ np.array([-1.0, 1.0])
            low, high = np.quantile(change, [events.TAIL, 1 - events.TAIL])
            out.append({
                "stage": n + 1, "begins": begins["event"], "start": float(begins["step"]), "start_low": begins["low"],
                "start_high": begins["high"], "end": events.step_at(end), "series": name,
                "change": float(np.median(change)), "low": float(low), "high": float(high),
            })  # fmt: skip
    return out


def _at(x: np.ndarray, curves: Curves) -> np.ndarray:
    """Draws at other places, between those of the grid by straight lines."""
    right = np.clip(np.searchsorted(curves.x, x), 1, len(curves.x) - 1)
    share = np.clip((x - curves.x[right - 1]) / (curves.x[right] - curves.x[right - 1]), 0, 1)
    return np.asarray(curves.draws[:, right - 1] * (1 - share) + curves.draws[:, right] * share)


def frame(series: str, curves: Curves) -> pd.DataFrame:
    """The curve as rows: ``series, step, value, low, high``, with its 90 % band."""
    low, high = np.quantile(curves.draws, [events.TAIL, 1 - events.TAIL], axis=0)
    return pd.DataFrame({"series": series, "step": np.expm1(curves.x), "value": curves.mean, "low": low, "high": high})
