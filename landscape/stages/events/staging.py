"""Stages: the stretches of training between two boundaries, and what changes in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from landscape.stages.events import changes
from landscape.stages.events.changes import Event
from landscape.stages.series.axis import Axis
from landscape.stages.series.runs import bridged
from landscape.stages.series.smooth import Curves

EVERYONE = "all"
"""In place of a seed: the mean over the seeds."""
CURVE = ("series", "step", "value", "low", "high")
STAGES = ("seed", "stage", "begins", "start", "start_low", "start_high", "end", "series", "change", "low", "high")


def stages(bounds: Sequence[Event], series: Mapping[str, Curves], axis: Axis) -> list[dict[str, Any]]:
    """A row for each stage and series: where the stage begins and ends, and how much the series changes in it.

    Args:
        bounds: Boundaries in order.
        series: Curves of one seed, or of the mean; the first one is that of the boundaries.
        axis: Of training.

    Returns:
        ``stage, start, start_low, start_high, end, series, change, low, high``; stages count from 1, and a change has
        its 90 % interval.
    """
    own = next(iter(series.values()))
    rows = [changes.row(event, own.x, axis) for event in bounds]
    places = [changes.quantile(event, 0.5) for event in bounds]
    edges = [own.x[0], *places, own.x[-1]]
    first: dict[str, Any] = {"step": axis.step(own.x[0]), "low": np.nan, "high": np.nan, "event": "start"}
    out = []
    for n, (start, end) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        begins = rows[n - 1] if n else first
        for name, curves in series.items():
            # Where a series begins later or ends earlier, its change is that of the stretch that is known.
            a, b = np.clip([start, end], curves.x[0], curves.x[-1])
            change = bridged(curves, np.array([a, b])) @ np.array([-1.0, 1.0])
            low, high = np.quantile(change, [changes.TAIL, 1 - changes.TAIL])
            out.append({
                "stage": n + 1, "begins": begins["event"], "start": float(begins["step"]), "start_low": begins["low"],
                "start_high": begins["high"], "end": axis.step(end), "series": name,
                "change": float(np.median(change)), "low": float(low), "high": float(high),
            })  # fmt: skip
    return out


def frame(series: str, curves: Curves, axis: Axis) -> pd.DataFrame:
    """The curve as rows: ``series, step, value, low, high``, with its 90 % band."""
    low, high = np.quantile(curves.draws, [changes.TAIL, 1 - changes.TAIL], axis=0)
    return pd.DataFrame({
        "series": series,
        "step": axis.steps(curves.x),
        "value": curves.mean,
        "low": low,
        "high": high,
    })
