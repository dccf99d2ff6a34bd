"""Interpolation curves: mean loss along straight lines."""

from __future__ import annotations

from typing import TypeVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.figures.captions import caption, steps_in_words
from landscape.figures.frames import Frames, between_seeds
from landscape.figures.section import Section

MAX_CURVES = 6
CROWDED = 21
"""Points of a curve up to which each has a marker."""
Item = TypeVar("Item")
NAMES = {"loss": "loss", "rise": "loss above the chord"}


def interpolation(
    means: pd.DataFrame, pairs: pd.DataFrame | None = None, *, value: str = "loss", unit: str = "nats",
    ax: Axes | None = None, legend: bool = True,
) -> Axes:  # fmt: skip
    """Mean loss along the path with its 95 % interval, one curve for each step; all pairs instead if seeds are few.

    Args:
        means: ``step, t``, and ``value`` with ``_low`` and ``_high``.
        pairs: Rows of the table ``profile`` of the pairs.
        value: ``loss``, or ``rise`` for the loss above the chord.
        unit: Unit of the loss.
        ax: Axes to draw on; None is the current axes.
        legend: Whether to name the steps.
    """
    ax = ax or plt.gca()
    steps = some(means["step"].unique().tolist(), MAX_CURVES)
    for color, step in zip(sns.color_palette("viridis", len(steps)), steps, strict=True):
        curve = means[means["step"] == step] if pd.notna(step) else means[means["step"].isna()]
        name = f"step {int(step):,}" if pd.notna(step) else "mean"
        t, middle, low, high = (
            curve[column].to_numpy(dtype=float) for column in ("t", value, f"{value}_low", f"{value}_high")
        )
        ax.fill_between(t, low, high, color=color, alpha=0.25, linewidth=0)
        if pairs is not None and np.isnan(low).all():
            own = pairs[pairs["step_a"] == step] if pd.notna(step) else pairs[pairs["step_a"].isna()]
            for number, (_, pair) in enumerate(own.groupby(["a", "b"], sort=False)):
                ax.plot(pair["t"].to_numpy(dtype=float), pair[value].to_numpy(dtype=float), color=color, linewidth=1.2,
                        alpha=0.8, label=None if number else name)  # fmt: skip
            continue
        ax.plot(t, middle, color=color, marker="." if len(t) <= CROWDED else None, label=name)
    ax.set(xlabel="t (from the first to the second checkpoint)", ylabel=f"{NAMES[value]} ({unit})", xlim=(0, 1))
    if legend:
        ax.legend(frameon=False, fontsize="small")
    return ax


def some(items: list[Item], most: int) -> list[Item]:
    """At most ``most`` of the items, evenly chosen, including the first and the last.

    >>> some([0, 1, 2, 4, 8, 16], 3)
    [0, 4, 16]
    """
    if len(items) <= most:
        return items
    return [items[round(k * (len(items) - 1) / (most - 1) + 0.01)] for k in range(most)]


def interpolations(means: pd.DataFrame, pairs: pd.DataFrame) -> Figure:
    """The loss along straight lines, and its rise above the chord, side by side.

    Args:
        means: ``step, t``, and ``loss`` and ``rise`` with ``_low`` and ``_high``.
        pairs: Rows of the table ``profile`` of the pairs.
    """
    unit = str(pairs["unit"].iloc[0])
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
    interpolation(means, pairs, value="loss", unit=unit, ax=left, legend=False)
    interpolation(means, pairs, value="rise", unit=unit, ax=right)
    return figure


def section(frames: Frames) -> Section | None:
    """Loss along straight lines."""
    if frames.curves.empty:
        return None
    rows = between_seeds(frames.profiles)
    figure = interpolations(frames.curves, rows)
    steps = [step for step in frames.curves["step"].unique().tolist() if pd.notna(step)]
    left_out = sorted({*steps} - {*some(steps, MAX_CURVES)})
    text = caption(rows.assign(definition=frames.barriers["definition"].iloc[0])) + (
        "; curves: mean over pairs; bands: its 95 % interval over seeds"
        if frames.curves["loss_low"].notna().any()
        else "; curves: pairs"
    )
    return Section.of(
        "Interpolation curves",
        "The loss of the models on the straight line between two seeds: the loss, and its rise above the chord, the "
        "line between the losses at the two ends; the largest rise is the barrier."
        + (f" {len(left_out)} of {len(steps)} steps are not drawn: {steps_in_words(left_out)}." if left_out else ""),
        figure, text, rows={"means": frames.curves, "pairs": rows},
        draw="interpolation.interpolations(means, pairs)",
    )  # fmt: skip
