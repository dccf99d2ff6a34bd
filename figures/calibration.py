"""The map of a calibration: step size against localisation."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import LogLocator


def calibration_map(rows: pd.DataFrame, proposal: tuple[float, float] | None = None, *, ax: Axes | None = None) -> Axes:
    """LLC of one checkpoint for every step size and localisation; a red corner marks unreliable estimates.

    Args:
        rows: Rows of the table ``llc`` of one checkpoint.
        proposal: Step size and localisation to frame.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    rows = rows.sort_values(["localisation", "step_size"])
    steps = {pull: list(line["step_size"]) for pull, line in rows.groupby("localisation")}
    pulls, across = sorted(steps, reverse=True), list(next(iter(steps.values())))
    llc, error, reliable = (
        rows.pivot(index="localisation", columns="step_size", values=name).loc[pulls, across].to_numpy()
        for name in ("llc", "error", "reliable")
    )
    finite = np.isfinite(llc.astype(float))
    drawn = llc[finite & (llc > 0)].astype(float)
    scale = LogNorm(drawn.min(), min(drawn.max(), 10 * float(np.median(drawn)))) if drawn.size else None
    texts = np.array([
        [f"{v:.3g}\n± {e:.2g}" if ok else "–" for v, e, ok in zip(*line, strict=True)]
        for line in zip(llc, error, finite, strict=True)
    ])
    bar = {"label": "local learning coefficient", "format": "%g", "ticks": LogLocator(subs=(1, 2, 5))}
    sns.heatmap(
        llc.astype(float), ax=ax, cmap="crest", norm=scale, annot=texts, fmt="", mask=~finite,
        annot_kws={"fontsize": "x-small"}, cbar_kws=bar, linewidths=0.5,
        xticklabels=[f"{step:.2g}" for step in across], yticklabels=[f"{pull:g}" for pull in pulls],
    )  # fmt: skip
    if legend := ax.collections[0].colorbar:
        legend.minorticks_off()
    ax.set_facecolor("0.9")
    ax.grid(visible=False)
    for (row, column), ok in np.ndenumerate(reliable.astype(bool)):
        if not ok:
            triangle = [(column + 1, row + 1), (column + 0.72, row + 1), (column + 1, row + 0.72)]
            ax.add_patch(Polygon(triangle, color="firebrick"))
    if proposal:
        corner = across.index(proposal[0]), pulls.index(proposal[1])
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=2.5, zorder=5))
    ax.set(xlabel="step size", ylabel="localisation")
    return ax


def about(rows: pd.DataFrame, proposal: tuple[float, float] | None) -> str:
    """Caption: how the rows were made, and what the marks mean."""
    first = rows.iloc[0]
    return (
        f"{first['sampler']}, {first['chains']} chains of {first['draws']} draws after {first['burn_in']}; n_beta "
        f"{first['n_beta']:.3g}; ±: Monte Carlo standard error; red corner: unreliable; "
        f"{'framed: proposed' if proposal else 'no setting is on a plateau'}"
    )
