"""Barriers before and after alignment."""

from __future__ import annotations

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from landscape.catalogue import MATCHERS
from landscape.figures.captions import caption, of_mean
from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.style import ONE, colours

RAW, CONTROL = "none", "random"
LABEL_WIDTH = 22
"""Characters in a line of a label."""
NAMES = {RAW: "raw", CONTROL: MATCHERS.label(CONTROL), **{name: MATCHERS.label(name) for name in MATCHERS}}
"""What figures call the ways to align, in the order in which they are drawn."""
SPREAD = 0.25
ROW = 0.6
"""Height of a way to align, in inches."""


def barriers_by_symmetry(means: pd.DataFrame, rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Barrier of every pair and mean over pairs, both with 95 % intervals; a row for each way to align.

    Args:
        means: ``how, barrier, low, high`` at one step.
        rows: Barriers of the pairs, with ``how``.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    order = [how for name in NAMES for how in dict.fromkeys(rows["how"]) if str(how).split(" (")[0] == name]
    colors = dict(zip(NAMES, colours(len(NAMES)), strict=True))
    for position, how in enumerate(order):
        own, mean = rows[rows["how"] == how], means[means["how"] == how].iloc[0]
        color = colors[str(how).split(" (")[0]]
        y = position + (np.linspace(-SPREAD, SPREAD, len(own)) if len(own) > 1 else np.zeros(1))
        half = np.maximum([own["barrier"] - own["low"], own["high"] - own["barrier"]], 0)
        ax.errorbar(own["barrier"], y, xerr=half, fmt=".", color=color, elinewidth=1, alpha=0.6)
        if len(own) > 1:
            ends = [[mean["barrier"] - mean["low"]], [mean["high"] - mean["barrier"]]]
            ax.errorbar(
                mean["barrier"], position, xerr=ends, fmt="D", color="0.15", elinewidth=1.5, capsize=4, zorder=3
            )
        ax.annotate(f"{mean['barrier']:.3f}", (1.0, position), xycoords=ax.get_yaxis_transform(), fontsize="small",
                    ha="left", va="center", textcoords="offset points", xytext=(4, 0))  # fmt: skip
    ax.annotate("mean", (1.0, 1.0), xycoords="axes fraction", fontsize="small", ha="left", va="bottom",
                textcoords="offset points", xytext=(4, 2))  # fmt: skip
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.set_yticks(range(len(order)), [_label(str(how)) for how in order], fontsize="small")
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(f"barrier ({rows['unit'].iloc[0]})")
    return ax


def _label(how: str) -> str:
    name, _, more = how.partition(" (")
    label = fill(NAMES[name], LABEL_WIDTH)
    return f"{label}\n({more}" if more and name != RAW else label


def section(frames: Frames) -> Section | None:
    """Raw and aligned barriers, and the random control, at the last step that has them."""
    rows = frames.aligned
    if rows.empty:
        return None
    between = rows["between"].iloc[0]
    rows, means = (frame[frame["between"] == between] for frame in (rows, frames.by_symmetry))
    last = rows["step_a"].max()
    if pd.notna(last):
        rows, means = rows[rows["step_a"] == last], means[means["step"] == last]
    figure, ax = plt.subplots(figsize=(ONE[0], max(ONE[1], ROW * rows["how"].nunique() + 1)))
    barriers_by_symmetry(means, rows, ax=ax)
    checks = frames.alignment
    worst = checks.loc[(checks["output_difference"] / checks["tolerance"]).idxmax()]
    untied = (
        "; output heads untied from embeddings where the residual stream is rotated" if checks["untied"].any() else ""
    )
    text = (
        f"dots: pairs, 95 % interval over examples; "
        f"diamonds, {of_mean(means['low'], means['pairs'], 'checkpoints')}; "
        f"{caption(rows)}{f'; step {int(last):,}' if pd.notna(last) else ''}{untied}"
    )
    return Section.of(
        "Barriers before and after alignment",
        "Two runs may be the same solution up to a symmetry: a permutation of units and heads, or a rotation of the "
        "residual stream. Such a symmetry causes a barrier that has no meaning. Alignment moves all checkpoints by "
        "symmetries to lie near the first one; the control moves them by random symmetries. The remaining barrier is "
        "not due to symmetries, or due to some that this way to align has not found. Alignment changed no function: in "
        f"{len(checks)} checks outputs differed by {worst['output_difference']:.1g} at most in float64, where rounding "
        f"explains {worst['tolerance']:.1g}.",
        figure, text, rows={"means": means, "pairs": rows}, draw="symmetry.barriers_by_symmetry(means, pairs)",
    )  # fmt: skip
