"""The map of a calibration: step size against localisation."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle


def calibration_map(rows: pd.DataFrame, proposal: tuple[float, float] | None = None, *, ax: Axes | None = None) -> Axes:
    """LLC at one checkpoint for every step size and localisation; struck through where it is doubtful.

    Args:
        rows: Rows of the table ``llc`` of one checkpoint.
        proposal: Step size and localisation to frame.
        ax: Where to draw.
    """
    ax = ax or plt.gca()
    rows = rows.sort_values(["localisation", "step_size"])
    steps = {pull: list(line["step_size"]) for pull, line in rows.groupby("localisation")}
    pulls, across = sorted(steps, reverse=True), list(next(iter(steps.values())))
    llc, error, sound = (
        rows.pivot(index="localisation", columns="step_size", values=name).loc[pulls, across].to_numpy()
        for name in ("llc", "error", "sound")
    )
    good = llc[sound.astype(bool)] if sound.any() else llc[np.isfinite(llc)]
    low, high = (float(good.min()), float(good.max())) if good.size else (0.0, 1.0)
    finite = np.isfinite(llc.astype(float))
    words = np.array([
        [f"{v:.3g}\n± {e:.2g}" if ok else "–" for v, e, ok in zip(*line, strict=True)]
        for line in zip(llc, error, finite, strict=True)
    ])
    sns.heatmap(
        llc.astype(float), ax=ax, cmap="crest", vmin=low, vmax=high, annot=words, fmt="", mask=~finite,
        annot_kws={"fontsize": 8}, cbar_kws={"label": "local learning coefficient"}, linewidths=0.5,
        xticklabels=[f"{step:.2g}" for step in across], yticklabels=[f"{pull:g}" for pull in pulls],
    )  # fmt: skip
    ax.set_facecolor("0.9")
    for (row, column), ok in np.ndenumerate(sound.astype(bool)):
        if not ok:
            ax.plot([column, column + 1], [row + 1, row], color="firebrick", linewidth=1.2, alpha=0.7, zorder=2)
    if proposal:
        place = across.index(proposal[0]), pulls.index(proposal[1])
        ax.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor="black", linewidth=2.5, zorder=5))
    ax.set(xlabel="step size", ylabel="localisation")
    return ax


def about(rows: pd.DataFrame) -> str:
    """How the rows were made, and what the marks mean."""
    first = rows.iloc[0]
    return (
        f"{first['sampler']}, {first['chains']} chains of {first['draws']} draws after {first['burn_in']}; n_beta "
        f"{first['n_beta']:.3g}; ±: Monte Carlo standard error; struck through: doubtful; framed: proposed"
    )
