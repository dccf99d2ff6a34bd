"""Barrier matrix at one step."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

CROWDED = 10


def barrier_matrix(rows: pd.DataFrame, *, ax: Axes | None = None, vmax: float | None = None) -> Axes:
    """Heatmap of the barriers between seeds; the diagonal is a seed with itself.

    Args:
        rows: Rows of the table ``barrier``: one definition, one step.
        ax: Where to draw.
        vmax: Barrier at the dark end of the scale.

    Returns:
        The axes; small matrices are annotated with value and half of the 95 % interval.
    """
    ax = ax or plt.gca()
    half_width = (rows["high"] - rows["low"]) / 2
    table = rows.assign(a=rows["seed_a"].astype(int), b=rows["seed_b"].astype(int), half=half_width)
    value, half = (_square(table, column) for column in ("barrier", "half"))
    value = value.mask(np.eye(len(value), dtype=bool), 0.0)
    text = None
    if len(value) <= CROWDED:
        text = np.vectorize(lambda v, h: "" if np.isnan(h) else f"{v:.3f}\n±{h:.3f}")(value, half)
    sns.heatmap(
        value, ax=ax, vmin=0, vmax=vmax or max(float(np.nanmax(value)), 1e-9), square=True, cmap="mako_r",
        annot=text, fmt="", annot_kws={"fontsize": 8}, linewidths=0.5,
        cbar_kws={"label": f"barrier ({rows['unit'].iloc[0]})", "shrink": 0.7},
    )  # fmt: skip
    ax.set(xlabel="seed", ylabel="seed")
    steps = rows["step_a"].dropna().unique()
    ax.set_title(f"step {int(steps[0]):,}" if len(steps) == 1 else "")
    return ax


def _square(table: pd.DataFrame, column: str) -> pd.DataFrame:
    both = pd.concat([table[["a", "b", column]], table[["a", "b", column]].rename(columns={"a": "b", "b": "a"})])
    names = sorted({*both["a"]})
    return both.pivot(index="a", columns="b", values=column).reindex(index=names, columns=names).astype(float)
