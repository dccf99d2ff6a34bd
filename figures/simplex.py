"""The loss of mixtures of checkpoints."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from landscape.figures.captions import caption
from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.style import COLOURS, ONE

NAMES = {"vertex": "checkpoints", "edge": "middles of edges", "random": "random mixtures", "centre": "centre (soup)"}
"""Kinds of mixtures, in the order in which they are drawn."""
SPREAD = 0.3


def mixtures(rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Loss of each mixture with its 95 % interval over examples, by kind of mixture.

    Args:
        rows: Rows of the table ``mixture``, for one simplex.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    shown = [kind for kind in NAMES if (rows["kind"] == kind).any()]
    for position, (kind, color) in enumerate(zip(shown, COLOURS, strict=False)):
        own = rows[rows["kind"] == kind].sort_values("loss")
        x = position + (np.linspace(-SPREAD, SPREAD, len(own)) if len(own) > 1 else np.zeros(1))
        ax.errorbar(x, own["loss"], yerr=1.96 * own["error"], fmt=".", color=color, elinewidth=1)
    ax.set_xticks(range(len(shown)), [NAMES[kind] for kind in shown])
    ax.grid(visible=False, axis="x")
    ax.set_ylabel(f"loss ({rows['unit'].iloc[0]})")
    return ax


def section(frames: Frames) -> Section | None:
    """The loss of mixtures, at the last step."""
    if frames.mixture.empty:
        return None
    groups = [rows for _, rows in frames.mixture.groupby("checkpoints", sort=False)]
    rows = max(groups, key=lambda group: -1 if pd.isna(step := group["step"].iloc[0]) else step)
    figure, ax = plt.subplots(figsize=ONE)
    mixtures(rows, ax=ax)
    step = rows["step"].iloc[0]
    text = f"{caption(rows)}; bars: 95 % interval over examples" + (f"; step {int(step):,}" if pd.notna(step) else "")
    return Section.of(
        "Mixtures",
        "The loss of weighted averages of checkpoints: of two, of all (the uniform soup), and with random weights. "
        "Where the loss is convex, an average has at most the mean loss of its members.",
        figure, text, rows={"rows": rows}, draw="simplex.mixtures(rows)",
    )  # fmt: skip
