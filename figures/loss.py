"""Loss against step."""

from collections.abc import Hashable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from landscape.figures.captions import caption
from landscape.figures.frames import Frames
from landscape.figures.section import Section, spots
from landscape.figures.style import ONE, colours, run_text, run_words, step_axis

Z = 1.96


def loss_over_training(rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Loss of each seed with its 95 % interval over the examples.

    Args:
        rows: Rows of the table ``loss``.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    seeds = rows["seed"].dropna().unique()
    for color, seed in zip(colours(max(len(seeds), 1)), seeds, strict=True):
        run = rows[rows["seed"] == seed].sort_values("step")
        label = run_text(seed) if len(seeds) <= 10 else None
        step, loss, error = (run[name].to_numpy(dtype=float) for name in ("step", "loss", "error"))
        ax.errorbar(step, loss, yerr=Z * error, color=color, marker=".", label=label)
    step_axis(ax, rows["step"], "training step")
    ax.set_ylabel(f"loss ({rows['unit'].iloc[0]})")
    if len(seeds) <= 10:
        ax.legend(frameon=False, fontsize="small")
    return ax


def section(frames: Frames) -> Section | None:
    """The loss over training."""
    rows = frames.losses
    if "branch_step" in rows:
        rows = rows[rows["branch_step"].isna()]
    if rows.empty or rows["step"].isna().any() or rows["seed"].isna().any():
        return None
    figure, ax = plt.subplots(figsize=ONE)
    loss_over_training(rows, ax=ax)
    text = caption(rows) + "; bars: 95 % interval over examples"
    return Section.of(
        "Loss over training", "Held-out loss of every seed, which is the loss at the ends of all paths.", figure, text,
        rows={"rows": rows}, draw="loss.loss_over_training(rows)", spots=[spots(ax, rows, "step", "loss", said)],
    )  # fmt: skip


def said(row: Mapping[Hashable, Any]) -> str:
    """A checkpoint and its loss, in words.

    Args:
        row: Row of the table ``loss``.
    """
    return f"{run_words(row['seed'])}, step {int(row['step']):,}: {row['loss']:.3f} ± {Z * row['error']:.3f}"
