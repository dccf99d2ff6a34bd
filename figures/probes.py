"""Scores of probes against step."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from landscape.figures.style import literal, step_axis

Z = 1.96
WORDS = {
    ("in-context", "score"): "in-context score (nats)",
    ("induction", "copy_gap"): "copy gap (nats)",
    ("induction", "best_prefix_matching"): "prefix matching, best head",
    ("ngrams", "kl"): "KL from n-grams (nats)",
    ("calibration", "ece"): "calibration error",
    ("syntax", "uas"): "attachment score",
    ("minimal-pairs", "accuracy"): "accuracy, minimal pairs",
    ("agreement", "accuracy"): "accuracy, agreement",
    ("inference", "accuracy"): "accuracy, inference",
    ("linear", "accuracy"): "accuracy, linear probe",
}
"""What the headline of a probe is called on an axis."""
ARROWS = {"higher": " ↑", "lower": " ↓"}


def probes_over_training(rows: pd.DataFrame, axes: Sequence[Axes] = ()) -> list[tuple[str, str]]:
    """The headlines of the probes, one panel for each; several subsets of one are means over seeds.

    Args:
        rows: Rows of the table ``probe``.
        axes: Where to draw; none only says what would be drawn.

    Returns:
        Probe and metric of each panel.
    """
    main = rows[rows["headline"].astype(bool) & rows["step"].notna()]
    groups = list(main.groupby(["probe", "metric"], sort=False))
    for ax, ((probe, metric), part) in zip(axes, groups, strict=False):
        probe_over_training(part, ax=ax)
        named = WORDS.get((probe, metric), f"{probe}, {metric}") + ARROWS.get(part["better"].iloc[0], "")
        ax.set_ylabel(literal(named))
    return [(str(probe), str(metric)) for (probe, metric), _ in groups]


def probe_over_training(rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """One score: each seed with its 95 % interval over items; of several subsets the means over seeds, and dots.

    Args:
        rows: Rows of the table ``probe`` of one metric.
        ax: Where to draw.
    """
    ax = ax or plt.gca()
    subsets = list(dict.fromkeys(rows["subset"]))
    if len(subsets) > 1:
        colors = sns.color_palette("dark", len(subsets))
        for color, subset in zip(colors, subsets, strict=True):
            part = rows[rows["subset"] == subset]
            means = part.groupby("step")["value"].mean()
            named = literal(str(subset))
            ax.plot(means.index.to_numpy(float), means.to_numpy(float), color=color, marker=".", label=named)
            ax.scatter(
                part["step"].to_numpy(float), part["value"].to_numpy(float), color=color, s=8, alpha=0.4, linewidth=0
            )
        ax.legend(frameon=False, fontsize=8)
    else:
        seeds = list(dict.fromkeys(rows["seed"]))
        for color, seed in zip(sns.color_palette("deep", len(seeds)), seeds, strict=True):
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
    """How the probes were asked."""
    main = rows[rows["headline"].astype(bool)]
    said = "; ".join(f"{probe}: {part['about'].iloc[0]}" for probe, part in main.groupby("probe", sort=False))
    return (
        f"{said}; bars: 95 % interval over items; the items are the same at all steps, so steps differ by less noise "
        "than that; colours: seeds; dotted: chance; arrows: which way is better"
    )
