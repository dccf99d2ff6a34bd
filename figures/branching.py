"""Barriers between branches of one run, by the step they were spawned at."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import matplotlib.pyplot as plt

from landscape.figures.captions import caption, of_mean
from landscape.figures.frames import Frames
from landscape.figures.section import Section, spots
from landscape.figures.style import ONE
from landscape.figures.training import barrier_over_training

LABEL = "step the branches were spawned at"


def section(frames: Frames) -> Section | None:
    """Barriers between branches, by the step they were spawned at."""
    if frames.branching.empty:
        return None
    rows = frames.barriers[frames.barriers["between"] == "branch"]
    end = int(rows["step_a"].max())
    figure, ax = plt.subplots(figsize=ONE)
    barrier_over_training(frames.branching, rows, ax=ax, by="branch_step", label=LABEL)
    units = "seeds" if rows["seed_a"].nunique() > 1 else "branches"
    spread = of_mean(frames.branching["low"], frames.branching["pairs"], units)
    text = f"{caption(rows)}; branches compared at step {end:,}; {spread}"
    return Section.of(
        "Onset of linear connectivity",
        f"Branches share training up to the step on the axis. They then see different data orders until step {end:,}. "
        "From the step on at which the barrier stays near zero, branches end in one linearly connected region: the run "
        "has become stable to the noise of the data order.",
        figure, text, rows={"means": frames.branching, "pairs": rows},
        draw=f'training.barrier_over_training(means, pairs, by="branch_step", label="{LABEL}")',
        spots=[spots(ax, rows, "branch_step", "barrier", _said)],
    )  # fmt: skip


def _said(row: Mapping[Hashable, Any]) -> str:
    """A pair of branches and its barrier, in words."""
    ends = f"[{row['low']:.3f}, {row['high']:.3f}]"
    return f"branches spawned after step {int(row['branch_step']):,}: {row['barrier']:.3f} {ends}"
