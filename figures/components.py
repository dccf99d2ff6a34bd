"""Which parts of a network make the barrier."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.figures.captions import caption
from landscape.figures.frames import Frames
from landscape.figures.section import Section, Spots
from landscape.figures.style import literal

WAYS = {"single": "alone", "from_first": "with all before it", "from_last": "with all after it"}
MOST_LABELLED = 40
"""Components up to which each has a label."""


def heatmap(
    rows: pd.DataFrame, *, by: str = "step_a", most: float | None = None, ax: Axes | None = None, bar: bool = True
) -> Axes:
    """Rise of the loss by component, from the input at the top, and by step or way; means over pairs and both ends.

    Args:
        rows: Rows of the table ``component``.
        by: Column of the horizontal axis, ``step_a`` or ``way``.
        most: Largest rise of the colours; None is that of these rows.
        ax: Axes to draw on; None is the current axes.
        bar: Whether to draw the bar of colours.
    """
    ax = ax or plt.gca()
    order = rows.sort_values("position")["component"].drop_duplicates()
    square = rows.pivot_table(index="component", columns=by, values="rise", aggfunc="mean", sort=False)
    square = square.reindex(index=order)
    square = square[[way for way in WAYS if way in square]] if by == "way" else square.sort_index(axis=1)
    names = [WAYS[str(name)] if by == "way" else f"{int(name):,}" for name in square.columns]
    few = len(order) <= MOST_LABELLED
    sns.heatmap(
        square.to_numpy(dtype=float), ax=ax, vmin=0, vmax=most, cmap="mako_r", cbar=bar, xticklabels=names,
        yticklabels=[literal(name) for name in order] if few else False,
        cbar_kws={"label": f"rise ({rows['unit'].iloc[0]})"} if bar else None,
    )  # fmt: skip
    ax.set(xlabel="moved" if by == "way" else "training step", ylabel="component" if few else "component, input first")
    ax.tick_params(axis="y", labelsize="small", rotation=0)
    return ax


def drawn(rows: pd.DataFrame) -> Figure:
    """A heatmap of components by step for each way; of one step, a heatmap of components by way.

    Args:
        rows: Rows of the table ``component``, of one way to align and one choice of components.
    """
    height = 2.4 + 0.22 * min(rows["component"].nunique(), MOST_LABELLED)
    if rows["step_a"].nunique() < 2:
        figure, ax = plt.subplots(figsize=(8, height))
        heatmap(rows, by="way", ax=ax)
        return figure
    ways = [way for way in WAYS if (rows["way"] == way).any()]
    figure, axes = plt.subplots(1, len(ways), figsize=(max(3.9 * len(ways), 8), height), sharey=True, squeeze=False)
    most = float(rows.groupby(["way", "component", "step_a"])["rise"].mean().max())
    for way, ax in zip(ways, axes.flat, strict=True):
        heatmap(rows[rows["way"] == way], most=most, ax=ax, bar=way == ways[-1])
        ax.set_title(f"{WAYS[way]}", fontsize="small")
        if way != ways[0]:
            ax.set_ylabel("")
    return figure


def section(frames: Frames) -> Section | None:
    """Which components make the barrier, of the last way to align that was measured."""
    if frames.component.empty:
        return None
    rows = frames.component
    rows = rows[rows["between"] == rows["between"].iloc[0]]
    rows = rows[rows["align"] == rows["align"].iloc[-1]]
    pairs = rows[["a", "b"]].drop_duplicates()
    how = "not aligned" if rows["align"].iloc[0] == "none" else f"aligned by {rows['align'].iloc[0]}"
    text = (
        f"mean over {rows['start'].nunique()} start{'s' * (rows['start'].nunique() > 1)} and {len(pairs)} "
        f"pair{'s' * (len(pairs) > 1)}, {how}; {caption(rows.drop(columns='points').assign(path='linear'))}"
    )
    figure = drawn(rows)
    return Section.of(
        "Which components make the barrier",
        "Only some of the tensors go from one checkpoint to the other, the others stay. The colour is the largest rise "
        "of the loss above the chord of the two checkpoints. Left, one component goes alone; then with all before it, "
        "and with all after it. Where the whole barrier is there with one component, this one makes it.",
        figure, text, rows={"rows": rows}, draw="components.drawn(rows)", spots=_cells(figure, rows),
    )  # fmt: skip


def _cells(figure: Figure, rows: pd.DataFrame) -> list[Spots]:
    """What is said of each cell of each heatmap."""
    steps = rows["step_a"].nunique() > 1
    shown = [rows[rows["way"] == way] for way in WAYS if (rows["way"] == way).any()] if steps else [rows]
    out = []
    for ax, part in zip(figure.axes, shown, strict=False):
        order = list(part.sort_values("position")["component"].drop_duplicates())
        across = sorted(part["step_a"].unique()) if steps else [way for way in WAYS if (part["way"] == way).any()]
        means = part.groupby(["component", "step_a" if steps else "way"])["rise"].mean()
        known = [(column, row, means[name, at]) for row, name in enumerate(order) for column, at in enumerate(across)
                 if (name, at) in means.index]  # fmt: skip
        texts = [f"{order[row]}: rise {rise:.4f}" for _, row, rise in known]
        x, y = ([cell[side] + 0.5 for cell in known] for side in (0, 1))
        out.append(Spots(ax, x, y, texts, reach="cell"))
    return out
