"""What points on paths between checkpoints can do."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.catalogue import PROBES
from landscape.figures.captions import caption
from landscape.figures.frames import Frames
from landscape.figures.probes import ARROWS
from landscape.figures.section import Section
from landscape.figures.style import colours, literal, panels

LOSS = "loss"
MOST_PANELS = 6
Z = 1.96


def score_along(rows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """One score along paths: each pair thin, their mean thick; of one pair the 95 % interval over items.

    Args:
        rows: Rows of the table ``probe_along``, of one metric; subsets have colours of their own.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    rows = rows.assign(subset=rows["subset"].astype(object).where(rows["subset"].notna(), ""))  # as CSV files have it
    subsets = list(rows["subset"].unique())
    for color, subset in zip(colours(len(subsets)), subsets, strict=True):
        own = rows[rows["subset"] == subset]
        pairs = [part.sort_values("t") for _, part in own.groupby(["a", "b"], sort=False)]
        for part in pairs if len(pairs) > 1 else ():
            ax.plot(part["t"].to_numpy(float), part["value"].to_numpy(float), color=color, linewidth=0.7, alpha=0.5)
        means = own.groupby("t")["value"].mean()
        ax.plot(means.index.to_numpy(float), means.to_numpy(float), color=color, linewidth=2, marker=".",
                label=literal(str(subset)))  # fmt: skip
        if len(pairs) == 1:
            t, value, error = (pairs[0][name].to_numpy(dtype=float) for name in ("t", "value", "error"))
            error = np.nan_to_num(error)
            ax.fill_between(t, value - Z * error, value + Z * error, color=color, alpha=0.2, linewidth=0)
    if len(subsets) > 1:
        ax.legend(frameon=False, fontsize="x-small")
    chance = rows["chance"].dropna()
    if len(chance) and chance.nunique() == 1:
        ax.axhline(float(chance.iloc[0]), color="0.5", linestyle=":", linewidth=1)
    first = rows.iloc[0]
    ax.set(xlabel="t", xlim=(0, 1), ylabel=literal(_label(first) + ARROWS.get(first["better"], "")))
    return ax


def _label(row: pd.Series) -> str:
    """What an axis calls a score."""
    probe, metric = str(row["probe"]), str(row["metric"])
    if probe == LOSS:
        return f"loss ({row['unit']})"
    return PROBES[probe.partition(":")[0]].metrics.get(metric, f"{probe}, {metric}")


def drawn(rows: pd.DataFrame) -> Figure:
    """The loss, and the headline of each probe, along paths of one kind and one way to align.

    Args:
        rows: Rows of the table ``probe_along``.
    """
    shown = rows[rows["headline"].astype(bool)].drop_duplicates(["a", "b", "probe", "metric", "subset", "t"])
    groups = [part for _, part in shown.groupby(["probe", "metric"], sort=False)]
    groups = sorted(groups, key=lambda part: part["probe"].iloc[0] != LOSS)[:MOST_PANELS]
    figure, axes = panels(len(groups))
    for ax, part in zip(axes, groups, strict=True):
        score_along(part, ax=ax)
    return figure


def section(frames: Frames) -> Section | None:
    """What points on paths can do, at the last step, along the last kind of path and way to align."""
    if frames.probe_along.empty:
        return None
    rows = frames.probe_along
    rows = rows[(rows["path"] == rows["path"].iloc[-1]) & (rows["align"] == rows["align"].iloc[-1])]
    rows = rows[rows["between"] == rows["between"].iloc[-1]]
    last = rows["step_a"].max()
    rows = rows[rows["step_a"] == last] if pd.notna(last) else rows
    pairs = len(rows[["a", "b"]].drop_duplicates())
    kind = rows["path"].iloc[0]
    step = f"step {int(last):,}; " if pd.notna(last) else ""
    how = "thick: mean over pairs; thin: every pair" if pairs > 1 else "band: 95 % interval over items"
    aligned = "" if rows["align"].iloc[0] == "none" else f", aligned by {rows['align'].iloc[0]}"
    text = f"{step}{kind} path between {pairs} pair{'s' * (pairs > 1)}{aligned}; {how}; dotted: chance; " + caption(
        rows[rows["probe"] == LOSS].drop(columns="points")
    )
    return Section.of(
        "What points on a path can do",
        "The loss and the scores of probes on the way from one checkpoint to another. An ability may be lost between "
        "two checkpoints that both have it, although the loss hardly rises; then the path leaves the set of models "
        "that work in the same way.",
        drawn(rows), text, rows={"rows": rows}, draw="abilities.drawn(rows)",
    )  # fmt: skip
