"""Barriers raw, matched, and in random coordinates, side by side."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from landscape.figures.captions import caption, of_mean
from landscape.figures.frames import Frames
from landscape.figures.section import Section

NAMES = {
    "none": "as they are", "random": "random\n(control)", "weights": "matched by\nweights",
    "activations": "matched by\nactivations", "learned": "matched by\nthe loss",
}  # fmt: skip
SPREAD = 0.25


def barriers_by_symmetry(means: pd.DataFrame, rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """The barrier of every pair with its interval, and the mean over pairs, by what was done about symmetries.

    Args:
        means: ``how, barrier, low, high`` of one step.
        rows: The pairs, with ``how``.
        ax: Where to draw.
    """
    ax = ax or plt.gca()
    order = [how for name in NAMES for how in dict.fromkeys(rows["how"]) if str(how).split(" (")[0] == name]
    colors = dict(zip(NAMES, sns.color_palette("deep"), strict=False))
    for place, how in enumerate(order):
        own, mean = rows[rows["how"] == how], means[means["how"] == how].iloc[0]
        color = colors[str(how).split(" (")[0]]
        x = place + (np.linspace(-SPREAD, SPREAD, len(own)) if len(own) > 1 else np.zeros(1))
        half = np.maximum([own["barrier"] - own["low"], own["high"] - own["barrier"]], 0)
        ax.errorbar(x, own["barrier"], yerr=half, fmt=".", color=color, elinewidth=1, alpha=0.6)
        if len(own) > 1:
            ends = [[mean["barrier"] - mean["low"]], [mean["high"] - mean["barrier"]]]
            ax.errorbar(place, mean["barrier"], yerr=ends, fmt="D", color="0.15", elinewidth=1.5, capsize=4, zorder=3)
        top = float(np.nanmax([mean["high"], *own["high"]]))
        ax.annotate(f"{mean['barrier']:.3f}", (place, top), fontsize=9, ha="center", textcoords="offset points",
                    xytext=(0, 5))  # fmt: skip
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set_xticks(range(len(order)), [_label(str(how)) for how in order], fontsize=9)
    ax.grid(visible=False, axis="x")
    ax.set_ylabel(f"barrier ({rows['unit'].iloc[0]})")
    return ax


def _label(how: str) -> str:
    name, _, more = how.partition(" (")
    return f"{NAMES[name]}\n({more}" if more and name != "none" else NAMES[name]


def section(frames: Frames) -> Section | None:
    """Raw, matched and random, at the last step that has them."""
    rows = frames.aligned
    if rows.empty:
        return None
    between = rows["between"].iloc[0]
    rows, means = (frame[frame["between"] == between] for frame in (rows, frames.by_symmetry))
    last = rows["step_a"].max()
    if pd.notna(last):
        rows, means = rows[rows["step_a"] == last], means[means["step"] == last]
    figure, ax = plt.subplots(figsize=(8, 4.6))
    barriers_by_symmetry(means, rows, ax=ax)
    checks = frames.alignment
    worst = checks.loc[(checks["output_difference"] / checks["tolerance"]).idxmax()]
    untied = "; heads untied from embeddings where streams turn" if checks["untied"].any() else ""
    text = (
        f"dots: pairs, 95 % interval over examples; "
        f"diamonds, {of_mean(means['low'], means['pairs'], 'checkpoints')}; "
        f"{caption(rows)}{f'; step {int(last):,}' if pd.notna(last) else ''}{untied}"
    )
    return Section.of(
        "Symmetries taken out",
        "Two runs may be one solution in other coordinates: with units, heads and the stream in another order, or "
        "turned. Matched, all checkpoints are brought into the coordinates of the first; the control has random ones. "
        "What is left of a barrier after matching is no such artefact, or one that this way of matching has not found. "
        f"No function was changed: in {len(checks)} checks outputs differed by {worst['output_difference']:.1g} at "
        f"most in float64, where rounding explains {worst['tolerance']:.1g}.",
        figure, text,
    )  # fmt: skip
