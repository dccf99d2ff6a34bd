"""Traces of the loss along Langevin chains, with shaded burn-in."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.figures.captions import caption
from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.style import colours, run_text

SMOOTH = 10
"""Steps of the running mean."""


def traces(rows: pd.DataFrame, *, ax: Axes | None = None, first: bool = True) -> Axes:
    """Loss at every step of every chain, minus the loss of the checkpoint, and its running mean.

    Args:
        rows: ``chain, draw, loss``, and the constant columns ``baseline, burn_in, seed, step``.
        ax: Axes to draw on; None is the current axes.
        first: Whether it is the first of several panels, which has the legend and the label of the axis.
    """
    ax = ax or plt.gca()
    row = rows.iloc[0]
    chains = rows.pivot(index="draw", columns="chain", values="loss") - row["baseline"]
    for color, chain in zip(colours(chains.shape[1]), chains.columns, strict=True):
        ax.plot(chains.index, chains[chain], color=color, linewidth=0.5, alpha=0.35)
        ax.plot(chains.index, chains[chain].rolling(SMOOTH, center=True).mean(), color=color, linewidth=1.3)
    ax.axvspan(0, row["burn_in"], color="0.6", alpha=0.25, linewidth=0, label="burn-in, not used")
    ax.axhline(0, color="0.3", linewidth=0.8)
    ax.set(xlabel="step of the chain", xlim=(0, len(chains) - 1))
    if pd.notna(row["seed"]) and pd.notna(row["step"]):
        ax.set_title(f"{run_text(row['seed'])}, step {int(row['step']):,}")
    if first:
        ax.set_ylabel(f"loss above the checkpoint ({row['unit']})")
        ax.legend(frameon=False, fontsize="small")
    return ax


def chains(rows: pd.DataFrame) -> Figure:
    """The chains of each checkpoint, side by side.

    Args:
        rows: As in :func:`traces`, with the column ``checkpoint``.
    """
    parts = [part for _, part in rows.groupby("checkpoint", sort=False)]
    figure, axes = plt.subplots(1, len(parts), figsize=(max(5.2 * len(parts), 8), 4.4), squeeze=False)
    for ax, part in zip(axes.flat, parts, strict=True):
        traces(part, ax=ax, first=ax is axes.flat[0])
    return figure


def section(frames: Frames) -> Section | None:
    """The chains of the first and the last coefficient."""
    if frames.traces.empty:
        return None
    figure = chains(frames.traces)
    made = "thin: the loss of each step on its own batch; thick: its running mean over"
    text = f"{made} {SMOOTH} steps; {caption(frames.traces)}"
    return Section.of(
        "Chains",
        "The loss along the chains of the first and the last coefficient. After the burn-in it should have no trend, "
        "and the chains should look alike. Spikes indicate that the step size is too large.",
        figure, text, rows={"rows": frames.traces}, draw="traces.chains(rows)",
    )  # fmt: skip
