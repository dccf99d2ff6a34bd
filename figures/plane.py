"""The loss on a plane, with equal scales of both axes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import PurePath
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from landscape.figures.captions import caption
from landscape.figures.frames import Frames
from landscape.figures.interpolation import some
from landscape.figures.section import Section, spots
from landscape.figures.style import DARK, label_words, literal, panels, run_text

LEVELS = 24
"""Levels of the contours."""
MAX_NAMED = 8
"""Number of checkpoints up to which each is named."""
TITLES = {"through": "the plane through three checkpoints", "random": "a random plane, scaled filter by filter",
          "trajectory": "the plane of the two principal components"}  # fmt: skip
MAX_PLANES = 4
"""Planes that the report shows."""


def loss_plane(
    rows: pd.DataFrame, places: pd.DataFrame, path: pd.DataFrame | None = None, *, ax: Axes | None = None
) -> Axes:
    """Contours of the loss, with checkpoints as dots in the colour of their own loss, and a path between them.

    Args:
        rows: Rows of the table ``plane``, for one plane.
        places: Rows of the table ``place``, for the same plane.
        path: ``x, y`` along a path, in order.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    grid = rows.pivot(index="y", columns="x", values="loss").sort_index().sort_index(axis=1)
    low, high = (getattr(np, f"nan{which}")([*grid.to_numpy().ravel(), *places["loss"]]) for which in ("min", "max"))
    # Most of the variation is at low losses: half of the levels lie in the lowest quarter of the range.
    norm = PowerNorm(0.5, vmin=low, vmax=max(high, low + 1e-6))
    levels = low + (norm.vmax - low) * np.linspace(0, 1, LEVELS) ** 2
    drawn = ax.contourf(grid.columns, grid.index, grid.to_numpy(), levels=levels, norm=norm, cmap="viridis")
    ax.contour(grid.columns, grid.index, grid.to_numpy(), levels=levels[::3], colors="white", linewidths=0.4, alpha=0.7)
    if path is not None:
        projected = "off_plane" in path and path["off_plane"].max() > 0.01 * np.ptp(path["x"])
        ax.plot(
            path["x"],
            path["y"],
            color="crimson",
            linewidth=2,
            label="projection of the learned path" if projected else "learned path",
        )
        ax.legend(frameon=True, fontsize="small")
    _draw_checkpoints(places, ax, norm, joined=rows["kind"].iloc[0] == "trajectory")
    ax.figure.colorbar(
        drawn,
        ax=ax,
        label=f"loss ({rows['unit'].iloc[0]})",
        format="%.2f",
        shrink=0.85,
        ticks=[*levels[::3], levels[-1]],
    )
    ax.set_aspect("equal")
    ax.grid(visible=False)
    ax.set(xlabel=_label("x", rows), ylabel=_label("y", rows))
    return ax


def _draw_checkpoints(places: pd.DataFrame, ax: Axes, norm: PowerNorm, *, joined: bool) -> None:
    """Dots in the colour of their loss, with names; lines join the checkpoints of a run."""
    ordered = places.sort_values(["seed", "step"], na_position="first")
    if joined:
        for _, run in ordered.groupby("seed", dropna=False):
            ax.plot(run["x"], run["y"], color="white", linewidth=1.2, alpha=0.9)
    ax.scatter(ordered["x"], ordered["y"], c=ordered["loss"], norm=norm, cmap="viridis", s=60, edgecolor="white",
               linewidth=1.3, zorder=3, clip_on=False)  # fmt: skip
    for name, x, y in zip(_names(ordered), ordered["x"], ordered["y"], strict=True):
        ax.annotate(
            literal(name),
            (x, y),
            textcoords="offset points",
            xytext=(6, 6),
            color="white",
            fontsize="small",
            zorder=4,
            path_effects=[withStroke(linewidth=2, foreground=DARK)],
        )


def about(rows: pd.DataFrame, places: pd.DataFrame) -> str:
    """Caption: how a plane was made."""
    spacing = np.diff(np.sort(rows["x"].unique())).min()
    parts = [
        TITLES[rows["kind"].iloc[0]],
        f"{len(rows)} points {spacing:.2g} apart, loss to ± {1.96 * rows['error'].median():.2g} (95 %), "
        f"differences to ± {1.96 * rows['above_error'].median():.2g}",
        "colours on a square-root scale",
    ]
    if places["off_plane"].max() > 1e-3 * max(np.ptp(places["x"]), 1e-12) and rows["kind"].iloc[0] != "random":
        parts.append(
            f"checkpoints lie up to {places['off_plane'].max():.2g} off the plane; a dot has the colour of its own loss"
        )
    return "; ".join(parts)


def _label(axis: str, rows: pd.DataFrame) -> str:
    explained = rows[f"explained_{axis}"].iloc[0]
    which = {"x": "first", "y": "second"}[axis]
    return f"distance ({which} component: {explained:.0%} of the variance)" if pd.notna(explained) else "distance"


def _names(places: pd.DataFrame) -> list[str]:
    if len(places) > MAX_NAMED:
        steps = places["step"]
        ends = {steps.min(), steps.max()} if steps.notna().any() else set()
        return [f"step {int(step):,}" if pd.notna(step) and step in ends else "" for step in steps]
    names = []
    for ref, seed, step in places[["checkpoint", "seed", "step"]].itertuples(index=False):
        parts = [run_text(seed)] if pd.notna(seed) else []
        parts += [f"step {int(step):,}"] if pd.notna(step) and places["step"].nunique() > 1 else []
        names.append(" ".join(parts) or PurePath(ref).name)
    return names


def planes(rows: pd.DataFrame, places: pd.DataFrame) -> Figure:
    """A few planes side by side.

    Args:
        rows: Rows of the table ``plane``.
        places: Rows of the table ``place``.
    """
    names = _drawn(rows)
    figure, axes = panels(len(names), 2, (6.2, 5.0), least=6.2)
    for ax, name in zip(axes, names, strict=True):
        loss_plane(rows[rows["plane"] == name], places[places["plane"] == name], ax=ax)
    return figure


def _drawn(rows: pd.DataFrame) -> list[str]:
    """Names of the planes that are drawn."""
    return some(list(dict.fromkeys(rows["plane"])), MAX_PLANES)


def _said(row: Mapping[Hashable, Any]) -> str:
    """A checkpoint and its loss, in words."""
    known = {name: row[name] for name in ("seed", "step") if pd.notna(row[name])}
    where = ", ".join(f"{name} {label_words(value)}" for name, value in known.items()) or str(row["checkpoint"])
    return f"{where}: loss {row['loss']:.3f}, {row['off_plane']:.2g} off the plane"


def section(frames: Frames) -> Section | None:
    """The loss on planes."""
    if frames.plane.empty:
        return None
    names = _drawn(frames.plane)
    figure = planes(frames.plane, frames.place)
    notes = [about(*(frame[frame["plane"] == name] for frame in (frames.plane, frames.place))) for name in names]
    left_out = frames.plane["plane"].nunique() - len(names)
    text = "; ".join([*dict.fromkeys(notes), caption(frames.plane)])
    return Section.of(
        "Planes",
        "The loss on planes through the space of weights, with the checkpoints. Distances in the plane are Euclidean "
        "distances of weights, with one scale for both axes. Distances from the plane are not shown."
        + (f" {left_out} of {left_out + len(names)} planes are not drawn." if left_out else ""),
        figure, text, rows={"rows": frames.plane, "places": frames.place}, draw="plane.planes(rows, places)",
        spots=[
            spots(ax, frames.place[frames.place["plane"] == name], "x", "y", _said)
            for ax, name in zip(figure.axes, names, strict=False)
        ],
    )  # fmt: skip
