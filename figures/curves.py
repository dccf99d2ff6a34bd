"""Learned curves compared with the straight line."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.catalogue import CURVES, PATHS
from landscape.figures.captions import caption, of_mean
from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.style import colours

LINE, CONTROL = "linear", "control"
NAMES = {LINE: PATHS.label(LINE), **{name: CURVES.label(name) for name in CURVES}, CONTROL: CONTROL}
"""What figures call the paths, in the order in which they are drawn."""
VALUES = {"barrier": "barrier", "loss_increase": "loss increase", "mean_loss_increase": "mean loss increase"}
SPREAD = 0.25


def loss_by_path(means: pd.DataFrame, *, unit: str = "nats", ax: Axes | None = None) -> Axes:
    """Mean loss along each kind of path with its 95 % interval, without the control, which ends at a random point.

    Args:
        means: ``path, t, loss, loss_low, loss_high``.
        unit: Unit of the loss.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    for path, color in _colors().items():
        rows = means[means["path"] == path]
        if path == CONTROL or rows.empty:
            continue
        t, middle, low, high = (rows[name].to_numpy(dtype=float) for name in ("t", "loss", "loss_low", "loss_high"))
        ax.fill_between(t, low, high, color=color, alpha=0.25, linewidth=0)
        ax.plot(t, middle, color=color, label=NAMES[path])
    ax.set(xlabel="t (from the first to the second checkpoint)", ylabel=f"loss ({unit})", xlim=(0, 1))
    ax.legend(frameon=False)
    return ax


def by_path(
    means: pd.DataFrame, rows: pd.DataFrame, *, value: str = "mean_loss_increase", ax: Axes | None = None
) -> Axes:
    """Barrier or loss increase by kind of path: pairs as dots, means as diamonds, both with 95 % intervals.

    Args:
        means: ``path``, and ``value`` with ``_low`` and ``_high``.
        rows: Rows of the table ``barrier`` of the pairs.
        value: ``barrier``, ``loss_increase`` or ``mean_loss_increase``.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    shown = [path for path in _colors() if path in set(means["path"])]
    for position, path in enumerate(shown):
        color, own = _colors()[path], rows[rows["path"] == path]
        mean = means[means["path"] == path].iloc[0]
        sides = [own["barrier"] - own["low"], own["high"] - own["barrier"]]
        if value != "barrier":
            sides = [own[f"{value}_error"] * 1.96] * 2
        x = position + np.linspace(-SPREAD, SPREAD, len(own)) if len(own) > 1 else np.array([position])
        y = own[value].to_numpy(dtype=float)
        errors = np.array(sides, dtype=float).clip(min=0)
        ax.errorbar(x, y, yerr=errors, fmt=".", color="0.55", elinewidth=0.8, zorder=2,
                    label="one pair" if position == 0 else None)  # fmt: skip
        ends = [[mean[value] - mean[f"{value}_low"]], [mean[f"{value}_high"] - mean[value]]]
        ax.errorbar([position], [mean[value]], yerr=np.clip(ends, 0, None), fmt="D", color=color, capsize=4, zorder=3)
    ax.set_xticks(range(len(shown)), [NAMES[path] for path in shown])
    ax.set_ylabel(f"{VALUES[value]} ({rows['unit'].iloc[0]})")
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    ax.grid(visible=False, axis="x")
    ax.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.0)
    return ax


def _colors() -> dict[str, str]:
    return dict(zip(NAMES, colours(len(NAMES)), strict=True))


def compared(profiles: pd.DataFrame, means: pd.DataFrame, pairs: pd.DataFrame) -> Figure:
    """The loss along each kind of path, and the mean loss increases, side by side.

    Args:
        profiles: ``path, t, loss, loss_low, loss_high``.
        means: ``path``, and ``mean_loss_increase`` with ``_low`` and ``_high``.
        pairs: Rows of the table ``barrier`` of the pairs.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
    loss_by_path(profiles, unit=str(pairs["unit"].iloc[0]), ax=left)
    by_path(means, pairs, value="mean_loss_increase", ax=right)
    return figure


def section(frames: Frames) -> Section | None:
    """Learned curves compared with the straight line."""
    if frames.learned.empty:
        return None
    rows = frames.learned
    control = " and to a random point at the same distance (the control)" if CONTROL in set(rows["path"]) else ""
    figure = compared(frames.learned_profiles, frames.by_path, rows)
    text = (
        "mean loss increase: mean loss along the path above that of the better end; "
        f"{caption(rows[rows['path'] != CONTROL])}; "
        "curves were fitted on other text; dots: 95 % interval over examples; "
        f"diamonds, {of_mean(frames.by_path['barrier_low'], frames.by_path['pairs'], 'checkpoints')}"
    )
    return Section.of(
        "Learned curves",
        f"Curves whose inner points were trained for low loss between two checkpoints{control}, evaluated on text that "
        "they were not trained on. Where the loss stays low on a curve but not on the straight line, the checkpoints "
        "lie in one curved valley. The control shows the loss that the same training budget reaches on the way to an "
        "arbitrary point; the loss at this point is high, so only the mean along the control is informative.",
        figure, text, rows={"profiles": frames.learned_profiles, "means": frames.by_path, "pairs": rows},
        draw="curves.compared(profiles, means, pairs)",
    )  # fmt: skip
