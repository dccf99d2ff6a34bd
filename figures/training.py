"""Mean barrier over training."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from landscape.figures.captions import caption, of_mean
from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.style import step_axis


def barrier_over_training(
    means: pd.DataFrame, rows: pd.DataFrame, *, ax: Axes | None = None, by: str = "step", label: str = "training step"
) -> Axes:
    """Mean barrier with its 95 % interval, if it has one, and every pair as a dot.

    Args:
        means: ``barrier, low, high`` by the column ``by``.
        rows: Rows of the table ``barrier`` of the pairs.
        ax: Axes to draw on; None is the current axes.
        by: Column of steps in ``means``; the column of ``rows`` is ``step_a`` for ``step``, else the same.
        label: Label of the horizontal axis.
    """
    ax = ax or plt.gca()
    x, mean, low, high = (means[name].to_numpy(dtype=float) for name in (by, "barrier", "low", "high"))
    color = sns.color_palette("deep")[0]
    dots = rows["step_a" if by == "step" else by].to_numpy(dtype=float)
    ax.scatter(
        dots,
        rows["barrier"].to_numpy(dtype=float),
        s=22,
        color="0.45",
        alpha=0.6,
        linewidth=0,
        label="one pair",
        zorder=2,
    )
    errors = [(mean - low).clip(min=0), (high - mean).clip(min=0)]
    name = "mean" if np.isnan(low).all() else "mean, 95 % interval"
    ax.errorbar(x, mean, yerr=errors, color=color, marker="o", capsize=3, label=name, zorder=3)
    step_axis(ax, means[by], label)
    ax.set_ylabel(f"barrier ({rows['unit'].iloc[0]})")
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    ax.legend(frameon=False)
    return ax


def section(frames: Frames) -> Section | None:
    """The mean barrier over training."""
    if frames.training.empty or frames.training["step"].isna().any():
        return None
    rows = frames.barriers[frames.barriers["between"] == "seed"]
    figure, ax = plt.subplots(figsize=(8, 4.6))
    barrier_over_training(frames.training, rows, ax=ax)
    text = f"{caption(rows)}; {of_mean(frames.training['low'], frames.training['pairs'], 'seeds')}"
    return Section.of(
        "Mean barrier over training",
        "The mean over all pairs of seeds at each saved step. Where it rises, the seeds move into regions that are not "
        "linearly connected.",
        figure, text,
    )  # fmt: skip
