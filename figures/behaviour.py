"""How differently seeds behave, beside the barriers between them."""

from __future__ import annotations

import matplotlib.pyplot as plt

from landscape.figures.frames import Frames, between_seeds
from landscape.figures.matrix import barrier_matrix
from landscape.figures.section import Section


def section(frames: Frames) -> Section | None:
    """Distances of behaviour beside the barriers, at the last step."""
    rows = frames.behaviour
    if rows.empty or (rows := between_seeds(rows)).empty:
        return None
    rows = rows[rows["probe"] == rows["probe"].iloc[0]]
    rows = rows[rows["step_a"].isna() | (rows["step_a"] == rows["step_a"].max())]
    barriers = frames.barriers
    if len(barriers):
        barriers = between_seeds(barriers)
        barriers = barriers[barriers["step_a"].isna() | (barriers["step_a"] == rows["step_a"].max())]
    metrics = list(dict.fromkeys(rows["metric"]))
    names = {"disagreement": "disagreement (1 - kappa)", "divergence": "Jensen-Shannon divergence (nats)"}
    figure, axes = plt.subplots(1, len(metrics) + (not barriers.empty), figsize=(15, 4.8), squeeze=False)
    left = iter(axes.flat)
    if not barriers.empty:
        barrier_matrix(barriers, ax=next(left))
    for metric, ax in zip(metrics, left, strict=True):
        barrier_matrix(rows[rows["metric"] == metric].rename(columns={"value": "barrier"}), ax=ax, label=names[metric])
    asked = rows["probe"].iloc[0]
    text = f"{asked}: {rows['items'].iloc[0]} items; ±: half of the 95 % interval over examples"
    return Section.of(
        "How differently the seeds behave",
        "For each pair how often two models choose differently, chance agreement taken out, and how far their "
        "predictions lie apart, beside the barrier between them. Seeds of one loss can behave in different ways.",
        figure, text,
    )  # fmt: skip
