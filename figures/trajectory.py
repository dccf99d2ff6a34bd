"""Lines along a run, and means of its last checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from landscape.figures.style import COLOURS, panels, step_axis

NOISE, WINDOW = "noise", "window"
IN_LOSS, IN_T = ("height", "ascent"), ("plateau", "exceeds_at")
NAMES = {"height": "height above the start", "ascent": "largest ascent", "plateau": "length of the plateau",
         "exceeds_at": "above the start again"}  # fmt: skip
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
    ax.legend(frameon=False, fontsize="small")
    return ax


def gains(rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """What the mean of the last checkpoints gains, by the step of the newest, with 95 % intervals over examples.

    Args:
        rows: Rows of the table ``trajectory`` on windows.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    for (metric, name), color in zip(GAINS.items(), COLOURS, strict=False):
        for number, (_, own) in enumerate(rows[rows["metric"] == metric].groupby("seed_b", dropna=False)):
            own = own.sort_values("step_b")
            value, low, high = (own[column].to_numpy(dtype=float) for column in ("value", "low", "high"))
            x = own["step_b"].to_numpy(dtype=float) if own["step_b"].notna().all() else np.arange(len(own))
            ax.errorbar(x, value, yerr=[value - low, high - value], color=color, marker=".", capsize=2, linewidth=1,
                        label=name if number == 0 else None)  # fmt: skip
    ax.axhline(0, color="0.4", linewidth=1)
    if rows["step_b"].notna().all():
        step_axis(ax, rows["step_b"], "step of the newest one")
    ax.set_ylabel(f"gain of the mean ({rows['unit'].iloc[0]})")
    ax.legend(frameon=False, fontsize="small")
    return ax


def numbers(rows: pd.DataFrame, names: Sequence[str], label: str, *, ax: Axes | None = None) -> Axes:
    """Numbers of lines by the step of the later checkpoint: means over runs, and each run as a dot.

    Args:
        rows: Rows of the table ``trajectory`` on lines.
        names: Which metrics.
        label: Of the vertical axis.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    shown = [name for name in names if (rows["metric"] == name).any()]
    for name, color in zip(shown, COLOURS, strict=False):
        for start, own in rows[(rows["metric"] == name) & rows["value"].notna()].groupby("start", sort=False):
            means = own.groupby("step_b")["value"].mean()
            ax.scatter(own["step_b"].to_numpy(float), own["value"].to_numpy(float), color=color, s=10, alpha=0.4,
                       linewidth=0)  # fmt: skip
            style, said = ("--", None) if start == NOISE else ("-", NAMES[name])
            ax.plot(means.index.to_numpy(float), means.to_numpy(float), color=color, linestyle=style, label=said)
    step_axis(ax, rows["step_b"], "step of the later one")
    ax.set_ylabel(label)
    ax.legend(frameon=False, fontsize="small")
    return ax


def drawn(rows: pd.DataFrame, points: pd.DataFrame) -> tuple[Figure, str]:
    """A figure of the first run's lines, of their numbers over training and of windows, with its caption.

    Args:
        rows: Rows of the table ``trajectory``.
        points: Rows of the table ``line``; may be empty.
    """
    windows, unit = rows[rows["between"] == WINDOW], rows["unit"].iloc[0]
    texts = [caption((points if len(points) else rows).drop(columns=["points"], errors="ignore"))]
    draws: list[Callable[[Axes], Axes]] = []
    if len(points):
        way = points["between"].iloc[0]
        one = points[(points["seed_b"] == points["seed_b"].iloc[0]) | points["seed_b"].isna().all()]
        draws.append(lambda ax: lines(one[one["between"] == way], ax=ax))
        dashed = (
            "; dashed: from noise with the numbers of the first checkpoint" if (one["start"] == NOISE).any() else ""
        )
        texts.append(f"lines of one run; band: 95 % interval over examples{dashed}")
        own = rows[rows["between"] == way]
        if own["step_b"].notna().all() and own["step_b"].nunique() > 1:
            draws.append(lambda ax: numbers(own, IN_LOSS, f"loss ({unit})", ax=ax))
            draws.append(lambda ax: numbers(own, IN_T, "t", ax=ax))
    if len(windows):
        draws.append(lambda ax: gains(windows, ax=ax))
        texts.append(f"windows of {int(windows['window'].iloc[0])} checkpoints; bars: 95 % interval over examples")
    figure, axes = panels(len(draws), across=2, size=(4.8, 3.9))
    for draw, ax in zip(draws, axes, strict=True):
        draw(ax)
    return figure, "; ".join(texts)


def section(frames: Frames) -> Section | None:
    """Lines along a run, and means of its last checkpoints."""
    if frames.trajectory.empty:
        return None
    figure, text = drawn(frames.trajectory, frames.line)
    dates = [
        f"run {row['run']} from step {int(row['step']):,} on" if pd.notna(row["step"]) else f"run {row['run']} not yet"
        for row in frames.entered.to_dict("records")
    ]  # fmt: skip
    basins = f" The mean gains over the mean of the losses: {', '.join(dates)}." if dates else ""
    return Section.of(
        "Along a run",
        "The loss on straight lines from an earlier to a later checkpoint of one run, and perhaps beyond it, and what "
        "the mean of the parameters of consecutive checkpoints gains. Where the loss falls all along the line, no "
        "barrier lies between the two. Where the mean is better than the checkpoints, the run moves within one basin."
        + basins,
        figure, text, rows={"rows": frames.trajectory, "points": frames.line}, draw="trajectory.drawn(rows, points)",
    )  # fmt: skip
