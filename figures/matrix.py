"""Barrier matrices."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from landscape.figures.captions import caption
from landscape.figures.frames import Frames, between_seeds
from landscape.figures.interpolation import some
from landscape.figures.section import Section
from landscape.figures.style import label_text, literal, panels
from landscape.rows import TABLES

ROOMY, CROWDED = 6, 12
"""Number of checkpoints up to which a cell has room for value and error, and for the value alone."""
MOST_LETTERS = 4
"""Letters of names that stand side by side; longer names are turned."""
MAX_LABELS = 20
"""Checkpoints that are named at a side of a matrix; of more, every second, third, ... one is."""
COLOURS = "mako_r"
MIN_SCALE = 0.01
"""Smallest barrier at the dark end of the scale, in units of the barriers, so that noise is not amplified."""
MAX_MATRICES = 4
"""Steps that the report shows."""


def barrier_matrix(rows: pd.DataFrame, *, ax: Axes | None = None, vmax: float | None = None, label: str = "") -> Axes:
    """Heatmap of the barriers between checkpoints; the diagonal is a checkpoint with itself.

    Args:
        rows: Rows of the table ``barrier``, for one definition. If they share one step, checkpoints are named by seed,
            else by seed and step, with any other labels that differ, or by folder.
        ax: Axes to draw on; None is the current axes.
        vmax: Barrier at the dark end of the scale.
        label: Label of the scale, if the column ``barrier`` holds another distance.

    Returns:
        The axes. Small matrices are annotated with value and half-width of the 95 % interval, larger ones with the
        value. The largest are an image with a pixel for each cell.
    """
    ax = ax or plt.gca()
    half_width = (rows["high"] - rows["low"]) / 2
    table = rows.assign(half=half_width)
    names = _names(rows)
    value, half = (_square(table, column, names) for column in ("barrier", "half"))
    value = value.mask(np.eye(len(value), dtype=bool), 0.0)
    roomy = len(value) <= ROOMY

    def annotation(v: float, h: float) -> str:
        return "" if np.isnan(h) else f"{v:.3f}\n±{h:.3f}" if roomy else f"{v:.2f}"

    dark = vmax or max(float(np.nanmax(value)), MIN_SCALE)
    bar = {"label": label or f"barrier ({rows['unit'].iloc[0]})", "shrink": 0.7}
    if len(value) > CROWDED:
        _draw_pixels(value, ax, dark, bar)
    else:
        text = np.vectorize(annotation)(value, half)
        sns.heatmap(
            value, ax=ax, vmin=0, vmax=dark, square=True, cmap=COLOURS, annot=text, fmt="", annot_kws={"fontsize": 8},
            linewidths=0.5, cbar_kws=bar,
        )  # fmt: skip
        ax.tick_params(axis="x", rotation=90 if max(map(len, value.columns)) > MOST_LETTERS else 0)
        ax.tick_params(axis="y", rotation=0)
    steps = _steps(rows)
    seeds = len(steps) == 1 and rows["seed_a"].notna().all() and not _further_labels(rows)
    ax.set(xlabel="seed" if seeds else "checkpoint", ylabel="seed" if seeds else "checkpoint")
    ax.set_title(f"step {steps[0]:,}" if len(steps) == 1 else "")
    return ax


def _draw_pixels(value: pd.DataFrame, ax: Axes, dark: float, bar: dict[str, Any]) -> None:
    """Draw a pixel for each cell: for a thousand checkpoints one image, and not a million shapes."""
    image = ax.imshow(value, cmap=COLOURS, vmin=0, vmax=dark, interpolation="none")
    ax.figure.colorbar(image, ax=ax, **bar)
    every = -(-len(value) // MAX_LABELS)
    ticks = range(0, len(value), every)
    ax.set_xticks(ticks, value.columns[::every], rotation=90, fontsize=8)
    ax.set_yticks(ticks, value.index[::every], fontsize=8)
    ax.grid(visible=False)


def _steps(rows: pd.DataFrame) -> list[int]:
    return sorted({int(step) for side in "ab" for step in rows[f"step_{side}"].dropna()})


def _names(rows: pd.DataFrame) -> dict[str, str]:
    """Name of each checkpoint, in the order of seed and step."""
    more = _further_labels(rows)
    columns = ["ref", *more, "seed", "step"]
    ends = pd.concat([
        rows[[side, *(f"{name}_{side}" for name in columns[1:])]].set_axis(columns, axis=1) for side in "ab"
    ]).drop_duplicates("ref").sort_values([*columns[1:], "ref"])  # fmt: skip
    one_step = len(_steps(rows)) == 1
    names: dict[str, str] = {}
    for ref, *words, seed, step in ends.itertuples(index=False):
        known = [label_text(word) for word in words if pd.notna(word)]
        if pd.notna(seed):
            known.append(label_text(seed) if one_step else f"seed {label_text(seed)}")
        known += [] if one_step or pd.isna(step) else [f"step {int(step)}"]
        plain = not known or (pd.isna(step) and not one_step) or (pd.isna(seed) and not more)
        name = PurePath(ref).name if plain else " ".join(known)
        names[ref] = name if name not in names.values() else ref
    return names


def _further_labels(rows: pd.DataFrame) -> list[str]:
    """The labels of checkpoints beside the usual ones, where some are not the same for all."""
    known = {column.name for column in TABLES["barrier"].columns}
    names = [str(column)[:-2] for column in rows.columns if str(column).endswith("_a") and column not in known]
    ends = {name: pd.concat([rows[f"{name}_a"], rows[f"{name}_b"]]) for name in names if f"{name}_b" in rows}
    return [name for name, values in ends.items() if values.nunique(dropna=False) > 1]


def _square(table: pd.DataFrame, column: str, names: dict[str, str]) -> pd.DataFrame:
    both = pd.concat([table[["a", "b", column]], table[["a", "b", column]].rename(columns={"a": "b", "b": "a"})])
    both = both[both["a"] != both["b"]].drop_duplicates(["a", "b"])
    square = both.pivot(index="a", columns="b", values=column).reindex(index=list(names), columns=list(names))
    shown = [literal(name) for name in names.values()]
    return square.astype(float).set_axis(shown, axis=0).set_axis(shown, axis=1)


def section(frames: Frames) -> Section | None:
    """Barriers between seeds, at a few steps."""
    if frames.barriers.empty or (rows := between_seeds(frames.barriers)).empty:
        return None
    by_step = rows[rows["between"] == "seed"]
    steps = some(sorted(by_step["step_a"].dropna().unique().tolist()), MAX_MATRICES)
    chosen = [by_step[by_step["step_a"] == step] for step in steps]
    rest = rows.drop(by_step.index[by_step["step_a"].notna()])
    chosen += [part for _, part in rest.groupby("between")]
    figure, axes = panels(len(chosen), 2, (4.9, 4.6), least=0.0)
    for ax, part in zip(axes, chosen, strict=True):
        barrier_matrix(part, ax=ax, vmax=max(float(rows["barrier"].max()), MIN_SCALE))
    text = caption(rows) + "; ±, in small matrices: half-width of the 95 % interval over examples"
    return Section.of(
        "Barrier matrices",
        "Each cell is the barrier between two checkpoints. The colour scale is shared by all matrices. A barrier of "
        "zero means that the two models are connected by a straight line without a rise of the loss.",
        figure, text,
    )  # fmt: skip
