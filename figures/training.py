"""Mean barrier over training."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from landscape.figures.captions import caption, of_mean
from landscape.figures.details import said
from landscape.figures.frames import Frames
from landscape.figures.section import Section, spots
from landscape.figures.style import COLOURS, ONE, step_axis


def barrier_over_training(
    means: pd.DataFrame, rows: pd.DataFrame, *, ax: Axes | None = None, by: str = "step", label: str = "training step"
) -> Axes:
    """Every pair as a dot, and the mean barrier with its 95 % interval; without one, the mean is a dashed line.

    Args:
        means: ``barrier, low, high`` by the column ``by``.
        rows: Rows of the table ``barrier`` of the pairs.
        ax: Axes to draw on; None is the current axes.
        by: Column of steps in ``means``; the column of ``rows`` is ``step_a`` for ``step``, else the same.
        label: Label of the horizontal axis.
    """
    ax = ax or plt.gca()
    x, mean, low, high = (means[name].to_numpy(dtype=float) for name in (by, "barrier", "low", "high"))
    color, few = COLOURS[0], bool(np.isnan(low).all())
    dots = rows["step_a" if by == "step" else by].to_numpy(dtype=float)
    ax.scatter(
        dots,
        rows["barrier"].to_numpy(dtype=float),
        s=30 if few else 22,
        color=color if few else "0.45",
        alpha=0.8 if few else 0.6,
        linewidth=0,
        label="one pair",
        zorder=2,
    )
    errors = [(mean - low).clip(min=0), (high - mean).clip(min=0)]
    if few:
        ax.errorbar(x, mean, yerr=errors, label="mean", color="0.3", linestyle="--", linewidth=1.0, zorder=1)
    else:
        ax.errorbar(x, mean, yerr=errors, label="mean, 95 % interval", color=color, marker="o", capsize=3, zorder=3)
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
    figure, ax = plt.subplots(figsize=ONE)
    barrier_over_training(frames.training, rows, ax=ax)
    text = f"{caption(rows)}; {of_mean(frames.training['low'], frames.training['pairs'], 'seeds')}"
    made = Section.of(
        "Mean barrier over training",
        "The mean over all pairs of seeds at each saved step. Where it rises, the seeds move into regions that are not "
        "linearly connected.",
        figure, text, rows={"means": frames.training, "pairs": rows},
        draw="training.barrier_over_training(means, pairs)",
        spots=[spots(ax, rows, "step_a", "barrier", said)],
    )  # fmt: skip
    return replace(made, lead=2)
