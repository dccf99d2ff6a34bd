"""Loss against step."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from landscape.figures.captions import caption
from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.style import label_text, step_axis

Z = 1.96


def loss_over_training(rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Loss of each seed with its 95 % interval over the examples.

    Args:
        rows: Rows of the table ``loss``.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    seeds = rows["seed"].dropna().unique()
    for color, seed in zip(sns.color_palette("deep", max(len(seeds), 1)), seeds, strict=True):
        run = rows[rows["seed"] == seed].sort_values("step")
        label = f"seed {label_text(seed)}" if len(seeds) <= 10 else None
        step, loss, error = (run[name].to_numpy(dtype=float) for name in ("step", "loss", "error"))
        ax.errorbar(step, loss, yerr=Z * error, color=color, marker=".", label=label)
    step_axis(ax, rows["step"], "training step")
    ax.set_ylabel(f"loss ({rows['unit'].iloc[0]})")
    if len(seeds) <= 10:
        ax.legend(frameon=False, fontsize=9)
    return ax


def section(frames: Frames) -> Section | None:
    """The loss over training."""
    rows = frames.losses
    if "branch_step" in rows:
        rows = rows[rows["branch_step"].isna()]
    if rows.empty or rows["step"].isna().any() or rows["seed"].isna().any():
        return None
    figure, ax = plt.subplots(figsize=(8, 4.6))
    loss_over_training(rows, ax=ax)
    text = caption(rows) + "; bars: 95 % interval over examples"
    return Section.of(
        "Loss over training", "Held-out loss of every seed, which is the loss at the ends of all paths.", figure, text
    )
