"""Distances of behaviour between seeds, compared with the barriers between them."""

from __future__ import annotations

import matplotlib.pyplot as plt

from landscape.figures.frames import Frames, between_seeds
from landscape.figures.matrix import barrier_matrix
from landscape.figures.section import Section

METRICS = {
    "disagreement": "disagreement (1 - kappa)", "divergence": "Jensen-Shannon divergence (nats)",
    "kl": "KL, mean of both ways (nats)",
}  # fmt: skip
"""What figures call the metrics of the table ``behaviour``."""


def section(frames: Frames) -> Section | None:
    """Distances of behaviour and barriers, at the last step."""
    rows = frames.behaviour
    if rows.empty or (rows := between_seeds(rows)).empty:
        return None
    rows = rows[(rows["probe"] == rows["probe"].iloc[0]) & rows["metric"].isin(METRICS) & (rows["subset"] == "")]
    rows = rows[rows["step_a"].isna() | (rows["step_a"] == rows["step_a"].max())]
    barriers = frames.barriers
    if len(barriers):
        barriers = between_seeds(barriers)
        barriers = barriers[barriers["step_a"].isna() | (barriers["step_a"] == rows["step_a"].max())]
    metrics = list(dict.fromkeys(rows["metric"]))
    figure, axes = plt.subplots(1, len(metrics) + (not barriers.empty), figsize=(15, 4.8), squeeze=False)
    free = iter(axes.flat)
    if not barriers.empty:
        barrier_matrix(barriers, ax=next(free))
    for metric, ax in zip(metrics, free, strict=True):
        barrier_matrix(
            rows[rows["metric"] == metric].rename(columns={"value": "barrier"}), ax=ax, label=METRICS[metric]
        )
    text = f"{rows['probe'].iloc[0]}: {rows['items'].iloc[0]} items; ±: half-width of the 95 % interval over examples"
    return Section.of(
        "How differently the seeds behave",
        "For each pair of seeds: how often the two models choose differently, corrected for chance agreement, how far "
        "their predictions lie apart, and the barrier between them. Seeds with equal loss can behave differently.",
        figure, text,
    )  # fmt: skip
