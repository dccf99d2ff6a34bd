"""When branches of one run are joined by a line: barriers by the step at which they branch_step."""

from __future__ import annotations

import matplotlib.pyplot as plt

from landscape.figures.captions import caption, of_mean
from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.training import barrier_over_training


def section(frames: Frames) -> Section | None:
    """Barriers between branches, by the step at which they branch_step."""
    if frames.branching.empty:
        return None
    rows = frames.barriers[frames.barriers["between"] == "branches"]
    end = int(rows["step_a"].max())
    figure, ax = plt.subplots(figsize=(8, 4.6))
    barrier_over_training(
        frames.branching, rows, ax=ax, by="branch_step", label="step at which the branches branch_step"
    )
    units = "seeds" if rows["seed_a"].nunique() > 1 else "branches"
    spread = of_mean(frames.branching["low"], frames.branching["pairs"], units)
    text = f"{caption(rows)}; branches compared at step {end:,}; {spread}"
    return Section.of(
        "Onset of linear connectivity",
        f"Branches share every step of training up to the one on the axis and then see other data orders until step "
        f"{end:,}. Once the barrier stays at zero, the rest of training no longer leaves the region that a straight "
        "line joins: the run has become stable to the noise of the data order.",
        figure, text,
    )  # fmt: skip
