"""Scores of probes against step."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from landscape.catalogue import PROBES
from landscape.figures.style import colours, literal, step_axis

Z = 1.96
ARROWS = {"higher": " ↑", "lower": " ↓"}


def probes_over_training(rows: pd.DataFrame, axes: Sequence[Axes] = ()) -> list[tuple[str, str]]:
    """The headline metrics of the probes, one panel for each; subsets of a metric are drawn as means over seeds.

    Args:
        rows: Rows of the table ``probe``.
        axes: Axes to draw on; without axes nothing is drawn.

    Returns:
        Probe and metric of each panel.
    """
    headlines = rows[rows["headline"].astype(bool) & rows["step"].notna()]
    groups = list(headlines.groupby(["probe", "metric"], sort=False))
    for ax, ((probe, metric), part) in zip(axes, groups, strict=False):
        probe_over_training(part, ax=ax)
        ax.set_ylabel(literal(_label(str(probe), str(metric)) + ARROWS.get(part["better"].iloc[0], "")))
    return [(str(probe), str(metric)) for (probe, metric), _ in groups]


def _label(probe: str, metric: str) -> str:
    """What figures call a metric; names of probes may go on after a colon, as in ``harness:TASK``."""
    return PROBES[probe.partition(":")[0]].metrics.get(metric, f"{probe}, {metric}")


def probe_over_training(rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """One metric: each seed with its 95 % interval over items; for several subsets, means over seeds and dots.

    Args:
        rows: Rows of the table ``probe``, for one metric.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    rows = rows.assign(subset=rows["subset"].astype(object).where(rows["subset"].notna(), ""))  # as CSV files have it
    subsets = list(dict.fromkeys(rows["subset"]))
    if len(subsets) > 1:
        colors = colours(len(subsets))
        for color, subset in zip(colors, subsets, strict=True):
            part = rows[rows["subset"] == subset]
            means = part.groupby("step")["value"].mean()
            named = literal(str(subset))
            ax.plot(means.index.to_numpy(float), means.to_numpy(float), color=color, marker=".", label=named)
            ax.scatter(
                part["step"].to_numpy(float), part["value"].to_numpy(float), color=color, s=8, alpha=0.4, linewidth=0
            )
        ax.legend(frameon=False, fontsize="x-small")
    else:
        seeds = list(dict.fromkeys(rows["seed"]))
        for color, seed in zip(colours(len(seeds)), seeds, strict=True):
            run = rows[rows["seed"].isna() if pd.isna(seed) else rows["seed"] == seed].sort_values("step")
            step, value, error = (run[name].to_numpy(dtype=float) for name in ("step", "value", "error"))
            ax.errorbar(
                step, value, yerr=Z * np.nan_to_num(error), color=color, marker=".", linewidth=1.2, elinewidth=0.8
            )
    step_axis(ax, rows["step"], "training step")
    chance = rows["chance"].dropna()
    if len(chance) and chance.nunique() == 1:
        ax.plot(ax.get_xlim(), [float(chance.iloc[0])] * 2, color="0.5", linestyle=":", linewidth=1, scalex=False)
    return ax


def about(rows: pd.DataFrame) -> str:
    """Caption: how the probes were evaluated."""
    headlines = rows[rows["headline"].astype(bool)].groupby("probe", sort=False)
    settings = "; ".join(f"{probe}: {part['about'].iloc[0]}" for probe, part in headlines)
    return (
        f"{settings}; bars: 95 % interval over items; items are the same at all steps, so differences between steps "
        "have less noise; colours: seeds; dotted: chance; arrows: direction of better scores"
    )
