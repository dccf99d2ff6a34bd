"""Stages: intervals of training between two boundaries, and the change of every series in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from landscape.stages.events import changes
from landscape.stages.events.changes import Event
from landscape.stages.series.axis import Axis
from landscape.stages.series.runs import bridged
from landscape.stages.series.smooth import Curves

EVERYONE = "all"
"""Name of the mean over seeds in the column ``seed``."""
CURVE = ("series", "step", "value", "low", "high")
STAGES = ("seed", "stage", "begins", "start", "start_low", "start_high", "end", "series", "change", "low", "high")


def stages(bounds: Sequence[Event], series: Mapping[str, Curves], axis: Axis) -> list[dict[str, object]]:
    """A row for each stage and series: where the stage begins and ends, and the change of the series in it.

    Args:
        bounds: Boundaries in order.
        series: Curves of one seed, or of the mean over seeds; the first is the series that bounds the stages.
        axis: Axis of training.

    Returns:
        ``stage, begins, start, start_low, start_high, end, series, change, low, high``. Stages count from 1. Starts and
        ends are training steps; changes are in units of the series; intervals are 90 % intervals.
    """
    own = next(iter(series.values()))
    rows = [changes.row(event, own.x, axis) for event in bounds]
    edges = [own.x[0], *(changes.quantile(event, 0.5) for event in bounds), own.x[-1]]
    first = changes.Row(
        event="start", way="", step=axis.step(own.x[0]), low=np.nan, high=np.nan, censored="no", happened=1.0
    )
    out: list[dict[str, object]] = []
    for n, (start, end) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        begins = rows[n - 1] if n else first
        for name, curves in series.items():
            # Where a series begins later or ends earlier, its change is that over the known part of the stage.
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
    """A curve as rows of the table ``curve``.

    Args:
        series: Name of the series.
        curves: Its curve.
        axis: Axis of training.

    Returns:
        ``series, step, value, low, high``, with a pointwise 90 % interval in units of the series.
    """
    low, high = np.quantile(curves.draws, [changes.TAIL, 1 - changes.TAIL], axis=0)
    return pd.DataFrame({
        "series": series,
        "step": axis.steps(curves.x),
        "value": curves.mean,
        "low": low,
        "high": high,
    })
