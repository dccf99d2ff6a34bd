"""Several data sets side by side."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.figures.captions import caption
from landscape.figures.frames import Frames, between_seeds
from landscape.figures.section import Section
from landscape.figures.style import colours, literal, panels, step_axis


def over_training(means: Mapping[str, pd.DataFrame], value: str, label: str, *, ax: Axes | None = None) -> Axes:
    """A number over training, a line for each data set, with its interval where it has one.

    Args:
        means: ``step``, the number, and perhaps ``low`` and ``high``, by data set.
        value: Column of the number.
        label: Of the vertical axis.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    for (name, rows), color in zip(means.items(), colours(len(means)), strict=True):
        rows = rows.sort_values("step")
        step, middle = (rows[column].to_numpy(dtype=float) for column in ("step", value))
        if {"low", "high"} <= set(rows):
            low, high = (rows[column].to_numpy(dtype=float) for column in ("low", "high"))
            ax.fill_between(step, low, high, color=color, alpha=0.2, linewidth=0)
        ax.plot(step, middle, color=color, marker=".", label=literal(name))
    step_axis(ax, pd.concat([rows["step"] for rows in means.values()]), "training step")
    ax.set_ylabel(label)
    ax.legend(frameon=False, fontsize="small")
    return ax


def along(curves: Mapping[str, pd.DataFrame], unit: str, *, ax: Axes | None = None) -> Axes:
    """Mean rise above the chord along straight lines between seeds at the last step, a line for each data set.

    Args:
        curves: ``step, t, rise`` by data set.
        unit: Unit of the loss.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    for (name, rows), color in zip(curves.items(), colours(len(curves)), strict=True):
        last = rows[rows["step"] == rows["step"].max()] if rows["step"].notna().any() else rows
        t, rise, low, high = (last[column].to_numpy(dtype=float) for column in ("t", "rise", "rise_low", "rise_high"))
        if np.isfinite(low).all():
            ax.fill_between(t, low, high, color=color, alpha=0.2, linewidth=0)
        ax.plot(t, rise, color=color, label=literal(name))
    ax.set(xlabel="t", xlim=(0, 1), ylabel=f"rise ({unit})")
    ax.legend(frameon=False, fontsize="small")
    return ax


def side_by_side(
    losses: pd.DataFrame, barriers: pd.DataFrame, curves: pd.DataFrame, llc: pd.DataFrame, unit: str
) -> Figure:
    """A panel for each table that has rows; each has the column ``data``.

    Args:
        losses: Mean loss by step.
        barriers: Mean barrier between seeds by step, with its interval.
        curves: Mean profile by step and t.
        llc: Mean coefficient by step.
        unit: Unit of the loss.
    """
    every = (
        (losses, "loss", f"loss ({unit})"), (barriers, "barrier", f"barrier ({unit})"), (curves, "rise", ""),
        (llc, "llc", "local learning coefficient"),
    )  # fmt: skip
    shown = [part for part in every if len(part[0])]
    figure, axes = panels(len(shown), across=2, size=(4.8, 3.6))
    for ax, (table, value, label) in zip(axes, shown, strict=True):
        sets = {str(name): own for name, own in table.groupby("data", sort=False)}
        if value == "rise":
            along(sets, unit, ax=ax)
        else:
            over_training(sets, value, label, ax=ax)
    return figure


def _labelled(sets: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows of several data sets as one table; of a single one there is nothing to compare."""
    if len(sets) < 2:
        return pd.DataFrame()
    return pd.concat([rows.assign(data=name) for name, rows in sets.items()], ignore_index=True)


def section(frames: Frames) -> Section | None:
    """Loss, barriers and coefficients on each data set."""
    sets = frames.data_sets
    parts = {
        "losses": {name: _means(own.losses, "loss") for name, own in sets.items() if _has_steps(own.losses)},
        "barriers": {name: own.training for name, own in sets.items() if _has_steps(own.training)},
        "curves": {name: own.curves for name, own in sets.items() if len(own.curves)},
        "llc": {name: _means(own.llc, "llc") for name, own in sets.items() if _has_steps(own.llc)},
    }
    tables = {which: _labelled(part) for which, part in parts.items()}
    if all(table.empty for table in tables.values()):
        return None
    rows = pd.concat([own.losses for own in sets.values() if len(own.losses)])
    unit = " or ".join(sorted(str(one) for one in rows["unit"].unique()))
    figure = side_by_side(**tables, unit=unit)
    pairs = [between_seeds(own.barriers) for own in sets.values() if len(own.barriers)]
    made = caption(pd.concat(pairs) if pairs and len(pd.concat(pairs)) else rows)
    text = (
        f"data sets: {', '.join(sets)}; means over seeds, or over pairs of seeds; rise: loss above the chord at the "
        f"last step; bands: 95 % interval, where there is one; {made}"
    )
    return Section.of(
        "Data sets side by side",
        "The same checkpoints on each data set of the study. Runs that are connected on one may not be on another, "
        "such as a challenge set that tells apart what the first leaves open.",
        figure, text, rows=tables, draw=f"data_sets.side_by_side(losses, barriers, curves, llc, {unit!r})",
    )  # fmt: skip


def _has_steps(rows: pd.DataFrame) -> bool:
    return len(rows) > 0 and bool(rows["step"].notna().all())


def _means(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Means over the runs at each step, without branches."""
    own = rows[rows["branch_step"].isna()] if "branch_step" in rows else rows
    return own.dropna(subset=[value]).groupby("step", as_index=False)[value].mean()
