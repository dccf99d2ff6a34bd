"""All series on one axis of training steps, with stages and dated events."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.style import literal, step_axis

EVERYONE = "all"
MAX_PANELS = 9
ONSETS = ("half_rise", "stable")
WIDE = 5
"""Gaps between checkpoints that are wider than this multiple of the median are dotted."""
BANDS = ("#eef2f7", "#dbe4ef")


def stages_over_training(
    series: pd.DataFrame, curve: pd.DataFrame, event: pd.DataFrame, stage: pd.DataFrame, *, boundaries: str,
    outlier: pd.DataFrame | None = None, unreliable: Sequence[str] = (),
) -> Figure:  # fmt: skip
    """Stacked panels of series over one axis of training steps.

    Thin: measured values of each seed; outlier runs are dashed and named. Thick: the mean over seeds with its 90 %
    interval, dotted where there are no checkpoints. Background: stages; a dashed line is a boundary, with its 90 %
    interval as a bar at the top. Diamond: the half-rise of the mean over seeds, or the median time to stable
    connectivity, with its 90 % interval.

    Args:
        series: ``series, seed, step, value``.
        curve: ``series, step, value, low, high`` of the mean over seeds.
        event: Events; those of the seed ``all`` are drawn.
        stage: Stages; those of the seed ``all`` are drawn.
        boundaries: The series that bounds the stages.
        outlier: ``series, seed`` of outlier runs.
        unreliable: Names of unreliable series, which are marked.
    """
    far = set() if outlier is None else set(outlier[["series", "seed"]].itertuples(index=False, name=None))
    names = shown(curve, event, boundaries)
    figure, axes = plt.subplots(len(names), 1, figsize=(9, 1.2 + 1.45 * len(names)), sharex=True, squeeze=False)
    bands = stage[(stage["seed"] == EVERYONE) & (stage["series"] == boundaries)] if len(stage) else stage
    for ax, name in zip(axes.flat, names, strict=True):
        _panel(ax, name, series[series["series"] == name], curve[curve["series"] == name],
               {seed for which, seed in far if which == name})  # fmt: skip
        if name in unreliable:
            ax.set_ylabel(
                f"{ax.get_ylabel()}\n(unreliable)", color="0.45", rotation=0, ha="right", va="center", fontsize=9
            )
        _onset(ax, event[(event["series"] == name) & (event["seed"] == EVERYONE) & event["event"].isin(ONSETS)])
        for band in bands.to_dict("records"):
            ax.axvspan(band["start"], band["end"], color=BANDS[band["stage"] % 2], zorder=-2, linewidth=0)
            if band["stage"] > 1:
                ax.axvline(band["start"], color="0.35", linewidth=0.9, linestyle="--", zorder=0)
    known = series.loc[series["series"].isin(names), "step"]
    step_axis(axes[-1][0], pd.Series(np.round(known)), "training step")
    axes[-1][0].tick_params(axis="x", labelsize=8)
    _numbers(axes[0][0], bands)
    return figure


def shown(curve: pd.DataFrame, event: pd.DataFrame, boundaries: str) -> list[str]:
    """Series to draw: loss, the series that bounds the stages, barriers, and others by onset; at most nine.

    Args:
        curve: Curves of all series.
        event: Events.
        boundaries: The series that bounds the stages.
    """
    known = [str(name) for name in pd.unique(curve["series"])]
    first = [name for name in dict.fromkeys(["loss", boundaries]) if name in known]
    barriers = [name for name in known if name.startswith("barrier") and name not in first]
    onsets = event[(event["seed"] == EVERYONE) & (event["event"] == "half_rise")].set_index("series")["step"].to_dict()
    rest = [name for name in known if name not in {*first, *barriers}]
    rest.sort(key=lambda name: (not np.isfinite(onsets.get(name, np.nan)), onsets.get(name, np.inf)))
    return [*first, *barriers, *rest][:MAX_PANELS]


def _panel(ax: Axes, name: str, series: pd.DataFrame, curve: pd.DataFrame, far: set[Hashable]) -> None:
    color = sns.color_palette("deep")[3 if name.startswith("barrier") else 0 if name in {"loss", "llc"} else 2]
    for seed, run in series.groupby("seed", sort=False):
        run = run.sort_values("step")
        x, y = run["step"].to_numpy(float), run["value"].to_numpy(float)
        if seed not in far:
            ax.plot(x, y, color="0.45", linewidth=0.6, alpha=0.7)
            continue
        ax.plot(x, y, color="0.1", linewidth=0.9, linestyle=(0, (4, 2)))
        ax.annotate(literal(f"seed {seed}"), (x[-1], y[-1]), xytext=(4, 0), textcoords="offset points", fontsize=7,
                    va="center", annotation_clip=False)  # fmt: skip
    x, mean, low, high = (curve[column].to_numpy(dtype=float) for column in ("step", "value", "low", "high"))
    ranges = stretches(x)
    for part in ranges:
        ax.fill_between(x[part], low[part], high[part], color=color, alpha=0.25, linewidth=0)
        ax.plot(x[part], mean[part], color=color, linewidth=1.8)
        if part.stop - part.start == 1:
            ax.errorbar(x[part], mean[part], [mean[part] - low[part], high[part] - mean[part]], fmt="o", color=color,
                        markersize=3, linewidth=1)  # fmt: skip
    for one, other in pairwise(ranges):
        gap = [one.stop - 1, other.start]
        ax.plot(x[gap], mean[gap], color=color, linewidth=1.0, linestyle=":")
    ax.set_ylabel(
        literal(name).replace(":", "\n", 1).replace(":", " "), rotation=0, ha="right", va="center", fontsize=9
    )
    ax.tick_params(axis="y", labelsize=8)
    ax.grid(visible=False)


def stretches(steps: np.ndarray) -> list[slice]:
    """Ranges of checkpoints between gaps that are more than five times the median gap in ``log(step / first + 1)``."""
    if len(steps) < 3:
        return [slice(0, len(steps))]
    gaps = np.diff(np.log1p(steps / max(float(steps[steps > 0].min()), 1e-300)))
    cuts = [0, *(np.flatnonzero(gaps > WIDE * np.median(gaps)) + 1).tolist(), len(steps)]
    return [slice(a, b) for a, b in pairwise(cuts)]


def _onset(ax: Axes, event: pd.DataFrame) -> None:
    for row in event.to_dict("records"):
        if row["censored"] != "no":
            continue
        right = row["high"] if np.isfinite(row["high"]) else ax.get_xlim()[1]
        line = ax.get_xaxis_transform()
        ax.plot([row["low"], right], [0.08, 0.08], transform=line, color="0.1", linewidth=1.6, solid_capstyle="butt")
        ax.plot([row["step"]], [0.08], transform=line, color="0.1", marker="D", markersize=5)


def _numbers(ax: Axes, bands: pd.DataFrame) -> None:
    """Numbers of the stages above the first panel, and the intervals of the boundaries."""
    line = ax.get_xaxis_transform()
    for band in bands.to_dict("records"):
        scale = ax.xaxis.get_transform()
        middle = float(scale.inverted().transform(scale.transform(np.array([band["start"], band["end"]])).mean()))
        ax.text(middle, 1.13, f"stage {band['stage']}", transform=line, ha="center", va="bottom", fontsize=9)
        if np.isfinite(band["start_low"]) and band["stage"] > 1:
            height = 1.05 + 0.04 * (band["stage"] % 2)
            ends = [band["start_low"], band["start_high"]]
            ax.plot(ends, [height] * 2, transform=line, color="0.35", lw=2.2, clip_on=False, solid_capstyle="butt")


def section(frames: Frames) -> Section | None:
    """The main figure: all series on one axis of training steps."""
    if frames.curve.empty:
        return None
    figure = stages_over_training(
        frames.series, frames.curve, frames.event, frames.stage, boundaries=frames.boundaries,
        outlier=frames.outlier if len(frames.outlier) else None, unreliable=frames.unreliable,
    )  # fmt: skip
    events = [event for event in dict.fromkeys(frames.stage.get("begins", [])) if event != "start"]
    bounds = f"bounded by {' and '.join(events)} ({frames.boundaries})" if events else "without boundaries"
    text = (
        "thin: seeds, dashed if outliers; thick: smoothed mean over seeds with 90 % interval, dotted where there are "
        f"no checkpoints; background: stages, {bounds}; dashed lines: boundaries, with 90 % intervals at the top; "
        "diamonds: half-rise of the mean, or median time to stable connectivity, with 90 % intervals"
    )
    return Section.of(
        "Stages",
        "Loss, local learning coefficient, barriers and behaviour at the same steps, and the stages of training. "
        "Changes at the same steps are weak evidence: everything changes over training. The tests below ask whether "
        "seeds that become connected early also change their behaviour early.",
        figure, text,
    )  # fmt: skip
