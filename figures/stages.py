"""All series on one axis of training steps, with stages and dated events."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from landscape.figures.details import series as details_of
from landscape.figures.frames import Frames
from landscape.figures.section import Section, Spots
from landscape.figures.style import BANDS, COLOURS, ENOUGH_SEEDS, literal, run_text, step_axis

EVERYONE = "all"
MAX_PANELS = 9
ONSETS = ("half_rise", "stable")
WIDE = 5
"""Gaps between checkpoints that are wider than this multiple of the median are dotted."""


def stages_over_training(
    series: pd.DataFrame, curve: pd.DataFrame, event: pd.DataFrame, stage: pd.DataFrame, *, boundaries: str,
    outlier: pd.DataFrame | None = None, unreliable: Sequence[str] = (),
) -> Figure:  # fmt: skip
    """Stacked panels of series over one axis of training steps.

    Thin: measured values of each seed; outlier runs are dashed and named. Thick: the mean over seeds with its 90 %
    interval, dotted where there are no checkpoints; with fewer than five seeds it is a dashed line without an interval,
    and the seeds are in colour. Background: stages; a dashed line is a boundary, with its 90 %
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
    figure, axes = plt.subplots(len(names), 1, figsize=(6.4, 1.0 + 1.3 * len(names)), sharex=True, squeeze=False)
    bands = stage[(stage["seed"] == EVERYONE) & (stage["series"] == boundaries)] if len(stage) else stage
    for ax, name in zip(axes.flat, names, strict=True):
        _panel(ax, name, series[series["series"] == name], curve[curve["series"] == name],
               {seed for which, seed in far if which == name})  # fmt: skip
        if name in unreliable:
            ax.set_title(f"{literal(name)} (unreliable)", loc="left", fontsize="small", color="0.45", pad=3)
        _onset(ax, event[(event["series"] == name) & (event["seed"] == EVERYONE) & event["event"].isin(ONSETS)])
        for band in bands.to_dict("records"):
            ax.axvspan(band["start"], band["end"], color=BANDS[band["stage"] % 2], zorder=-2, linewidth=0)
            if band["stage"] > 1:
                ax.axvline(band["start"], color="0.35", linewidth=0.9, linestyle="--", zorder=0)
    known = series.loc[series["series"].isin(names), "step"]
    step_axis(axes[-1][0], pd.Series(np.round(known)), "training step")
    axes[-1][0].tick_params(axis="x", labelsize="small")
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
    color = COLOURS[1 if name.startswith("barrier") else 0 if name in {"loss", "llc"} else 2]
    few = series["seed"].nunique() < ENOUGH_SEEDS
    for seed, run in series.groupby("seed", sort=False):
        run = run.sort_values("step")
        x, y = run["step"].to_numpy(float), run["value"].to_numpy(float)
        if seed not in far:
            ax.plot(x, y, color=color if few else "0.45", linewidth=1.1 if few else 0.6, alpha=0.8 if few else 0.7)
            continue
        ax.plot(x, y, color="0.1", linewidth=0.9, linestyle=(0, (4, 2)))
        ax.annotate(run_text(seed), (x[-1], y[-1]), xytext=(4, 0), textcoords="offset points",
                    fontsize="x-small", va="center", annotation_clip=False)  # fmt: skip
    x, mean, low, high = (curve[column].to_numpy(dtype=float) for column in ("step", "value", "low", "high"))
    if few:
        ax.plot(x, mean, color="0.3", linewidth=1.0, linestyle="--")
    ranges = [] if few else stretches(x)
    for part in ranges:
        ax.fill_between(x[part], low[part], high[part], color=color, alpha=0.25, linewidth=0)
        ax.plot(x[part], mean[part], color=color, linewidth=1.8)
        if part.stop - part.start == 1:
            ax.errorbar(x[part], mean[part], [mean[part] - low[part], high[part] - mean[part]], fmt="o", color=color,
                        markersize=3, linewidth=1)  # fmt: skip
    for one, other in pairwise(ranges):
        gap = [one.stop - 1, other.start]
        ax.plot(x[gap], mean[gap], color=color, linewidth=1.0, linestyle=":")
    ax.set_title(literal(name), loc="left", fontsize="small", pad=3)
    ax.tick_params(axis="y", labelsize="small")
    ax.yaxis.set_major_locator(MaxNLocator(3))
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
        ax.text(middle, 1.3, f"stage {band['stage']}", transform=line, ha="center", va="bottom", fontsize="small")
        if np.isfinite(band["start_low"]) and band["stage"] > 1:
            height = 1.22 + 0.04 * (band["stage"] % 2)
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
    details = details_of(frames.series, frames.curve, frames.event)
    names = shown(frames.curve, frames.event, frames.boundaries)
    few = frames.series.groupby("series")["seed"].nunique().reindex(names).min() < ENOUGH_SEEDS
    seeds = (
        "in colour: seeds, black and dashed if outliers; dashed: their smoothed mean"
        if few
        else "thin: seeds, dashed if outliers; thick: smoothed mean over seeds with 90 % interval, dotted where there "
        "are no checkpoints"
    )
    text = (
        f"{seeds}; background: stages, {bounds}; vertical lines: boundaries, with 90 % intervals at the top; "
        "diamonds: half-rise of the mean, or median time to stable connectivity, with 90 % intervals"
    )
    left_out = [name for name in details if name not in names]
    return Section.of(
        "Stages",
        "Loss, local learning coefficient, barriers and behaviour at the same steps, and the stages of training. "
        "Changes at the same steps are weak evidence: everything changes over training. The tests below ask whether "
        "seeds that become connected early also change their behaviour early."
        + (f" Not drawn: {', '.join(left_out)}." if left_out else ""),
        figure, text,
        rows={name: getattr(frames, name) for name in ("series", "curve", "event", "stage")},
        draw=f'stages.stages_over_training(series, curve, event, stage, boundaries="{frames.boundaries}")',
        spots=[_spots(ax, name, frames.curve) for ax, name in zip(figure.axes, names, strict=True)], details=details,
    )  # fmt: skip


def _spots(ax: Axes, name: str, curve: pd.DataFrame) -> Spots:
    """The mean at each step, with the seeds and dates of the series as its detail."""
    rows = curve[curve["series"] == name]
    texts = [f"{name}, step {row['step']:,.0f}: mean {row['value']:.3g}" for row in rows.to_dict("records")]
    x, y = (rows[column].astype(float).tolist() for column in ("step", "value"))
    return Spots(ax, x, y, texts, [(name, 0)] * len(texts), "panel")
