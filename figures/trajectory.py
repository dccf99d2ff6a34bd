"""Lines along a run, and means of its last checkpoints."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.figures.captions import caption
from landscape.figures.frames import Frames
from landscape.figures.interpolation import MAX_CURVES, some
from landscape.figures.section import Section
from landscape.figures.style import step_axis

NOISE, WINDOW = "noise", "window"
GAINS = {"gain_over_mean": "over the mean of the losses", "gain_over_newest": "over the newest checkpoint"}


def lines(rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Loss on the lines of one run, by the step of the later checkpoint; dashed, the lines from noise.

    Args:
        rows: Rows of the table ``line``, of one run and one way to pair steps.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    ends = some(list(rows["b"].unique()), MAX_CURVES)
    for color, end in zip(sns.color_palette("viridis", len(ends)), ends, strict=True):
        for start, own in rows[rows["b"] == end].groupby("start", sort=False):
            t, loss, error = (own[name].to_numpy(dtype=float) for name in ("t", "loss", "error"))
            step = own["step_b"].iloc[0]
            name = f"to step {int(step):,}" if pd.notna(step) else "to the later"
            ax.fill_between(t, loss - 1.96 * error, loss + 1.96 * error, color=color, alpha=0.2, linewidth=0)
            ax.plot(t, loss, color=color, linestyle="--" if start == NOISE else "-",
                    label=None if start == NOISE else name)  # fmt: skip
    if rows["t"].max() > 1:
        ax.axvline(1, color="0.6", linewidth=1)
    ax.set(xlabel="t (from the earlier to the later checkpoint)", ylabel=f"loss ({rows['unit'].iloc[0]})",
           xlim=(0, rows["t"].max()))  # fmt: skip
    ax.legend(frameon=False, fontsize=9)
    return ax


def gains(rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """What the mean of the last checkpoints gains, by the step of the newest, with 95 % intervals over examples.

    Args:
        rows: Rows of the table ``trajectory`` on windows.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    for (metric, name), color in zip(GAINS.items(), sns.color_palette("deep"), strict=False):
        for number, (_, own) in enumerate(rows[rows["metric"] == metric].groupby("seed_b", dropna=False)):
            own = own.sort_values("step_b")
            value, low, high = (own[column].to_numpy(dtype=float) for column in ("value", "low", "high"))
            x = own["step_b"].to_numpy(dtype=float) if own["step_b"].notna().all() else np.arange(len(own))
            ax.errorbar(x, value, yerr=[value - low, high - value], color=color, marker=".", capsize=2, linewidth=1,
                        label=name if number == 0 else None)  # fmt: skip
    ax.axhline(0, color="0.4", linewidth=1)
    if rows["step_b"].notna().all():
        step_axis(ax, rows["step_b"], "step of the newest checkpoint")
    ax.set_ylabel(f"gain of the mean ({rows['unit'].iloc[0]})")
    ax.legend(frameon=False, fontsize=9)
    return ax


def drawn(rows: pd.DataFrame, points: pd.DataFrame) -> tuple[Figure, str]:
    """A figure of the first run's lines and of all windows, with its caption; either may be missing.

    Args:
        rows: Rows of the table ``trajectory``.
        points: Rows of the table ``line``.
    """
    windows = rows[rows["between"] == WINDOW]
    both = [*([lines] if len(points) else []), *([gains] if len(windows) else [])]
    figure, axes = plt.subplots(1, len(both), figsize=(5.2 * max(len(both), 1.6), 4.6), squeeze=False)
    texts = [caption((points if len(points) else rows).drop(columns=["points"], errors="ignore"))]
    for draw, ax in zip(both, axes.flat, strict=True):
        if draw is gains:
            gains(windows, ax=ax)
            texts.append(f"windows of {int(windows['window'].iloc[0])} checkpoints")
            continue
        one = points[(points["seed_b"] == points["seed_b"].iloc[0]) | points["seed_b"].isna().all()]
        one = one[one["between"] == one["between"].iloc[0]]
        lines(one, ax=ax)
        dashed = (
            "; dashed: from noise with the numbers of the first checkpoint" if (one["start"] == NOISE).any() else ""
        )
        texts.append(f"lines of one run; band: 95 % interval over examples{dashed}")
    return figure, "; ".join(texts)


def section(frames: Frames) -> Section | None:
    """Lines along a run, and means of its last checkpoints."""
    if frames.trajectory.empty:
        return None
    figure, text = drawn(frames.trajectory, frames.line)
    return Section.of(
        "Along a run",
        "The loss on straight lines from an earlier to a later checkpoint of one run, and perhaps beyond it, and what "
        "the mean of the parameters of consecutive checkpoints gains. Where the loss falls all along the line, no "
        "barrier lies between the two. Where the mean is better than the checkpoints, the run moves within one basin.",
        figure, text,
    )  # fmt: skip
