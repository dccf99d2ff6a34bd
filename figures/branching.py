"""Barriers between branches of one run, by the step they were spawned at."""

from __future__ import annotations

import matplotlib.pyplot as plt

from landscape.figures.captions import caption, of_mean
from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.training import barrier_over_training


def section(frames: Frames) -> Section | None:
    """Barriers between branches, by the step they were spawned at."""
    if frames.branching.empty:
        return None
    rows = frames.barriers[frames.barriers["between"] == "branch"]
    end = int(rows["step_a"].max())
    figure, ax = plt.subplots(figsize=(8, 4.6))
    barrier_over_training(frames.branching, rows, ax=ax, by="branch_step", label="step the branches were spawned at")
    units = "seeds" if rows["seed_a"].nunique() > 1 else "branches"
    spread = of_mean(frames.branching["low"], frames.branching["pairs"], units)
    text = f"{caption(rows)}; branches compared at step {end:,}; {spread}"
    return Section.of(
        "Onset of linear connectivity",
        f"Branches share training up to the step on the axis. They then see different data orders until step {end:,}. "
        "From the step on at which the barrier stays near zero, branches end in one linearly connected region: the run "
        "has become stable to the noise of the data order.",
        figure, text,
    )  # fmt: skip
