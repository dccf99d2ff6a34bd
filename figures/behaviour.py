"""Distances of behaviour between seeds, compared with the barriers between them."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from landscape.figures.frames import Frames, between_seeds
from landscape.figures.matrix import barrier_matrix, cells
from landscape.figures.section import Section
from landscape.figures.style import panels

METRICS = {
    "disagreement": "disagreement (1 - kappa)", "divergence": "Jensen-Shannon divergence (nats)",
    "kl": "KL, mean of both ways (nats)",
}  # fmt: skip
"""What figures call the metrics of the table ``behaviour``."""


def distances(rows: pd.DataFrame, barriers: pd.DataFrame) -> Figure:
    """Matrices of the barriers, if there are any, and of each distance of behaviour.

    Args:
        rows: Rows of the table ``behaviour``, for one probe and one step.
        barriers: Rows of the table ``barrier`` at the same step.
    """
    metrics = list(dict.fromkeys(rows["metric"]))
    figure, axes = panels(len(metrics) + (not barriers.empty), 3, (4.7, 4.2))
    free = iter(axes)
    if not barriers.empty:
        barrier_matrix(barriers, ax=next(free))
    for metric, ax in zip(metrics, free, strict=True):
        barrier_matrix(
            rows[rows["metric"] == metric].rename(columns={"value": "barrier"}), ax=ax, label=METRICS[metric]
        )
    return figure


def section(frames: Frames) -> Section | None:
    """Distances of behaviour and barriers, at the last step."""
    rows = frames.behaviour
    if rows.empty or (rows := between_seeds(rows)).empty:
        return None
    whole = rows.get("subset", pd.Series("", rows.index)) == ""
    rows = rows[(rows["probe"] == rows["probe"].iloc[0]) & rows["metric"].isin(METRICS) & whole]
    rows = rows[rows["step_a"].isna() | (rows["step_a"] == rows["step_a"].max())]
    barriers = frames.barriers
    if len(barriers):
        barriers = between_seeds(barriers)
        barriers = barriers[barriers["step_a"].isna() | (barriers["step_a"] == rows["step_a"].max())]
    figure = distances(rows, barriers)
    parts = [part.assign(barrier=part["value"]) for _, part in rows.groupby("metric", sort=False)]
    spots = [cells(ax, part) for ax, part in zip(figure.axes, [barriers] * (not barriers.empty) + parts, strict=False)]
    text = f"{rows['probe'].iloc[0]}: {rows['items'].iloc[0]} items; ±: half-width of the 95 % interval over examples"
    return Section.of(
        "How differently the seeds behave",
        "For each pair of seeds: how often the two models choose differently, corrected for chance agreement, how far "
        "their predictions lie apart, and the barrier between them. Seeds with equal loss can behave differently.",
        figure, text, rows={"rows": rows, "barriers": barriers}, draw="behaviour.distances(rows, barriers)",
        spots=spots,
    )  # fmt: skip
