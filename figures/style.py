"""The style of all figures, and their captions."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

MOST_STEPS = 20
"""Labels that fit on an axis of steps."""


@contextmanager
def style() -> Generator[None]:
    """Context in which figures have this style."""
    with sns.axes_style("whitegrid", {"axes.edgecolor": "0.3"}), sns.plotting_context("notebook"), rc_context({
        "svg.fonttype": "path", "svg.hashsalt": "landscape", "figure.constrained_layout.use": True,
        "axes.spines.right": False, "axes.spines.top": False,
    }):  # fmt: skip
        yield


def panels(
    count: int, across: int = 3, size: tuple[float, float] = (3.9, 3.3), least: float = 8.0
) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of axes.

    Args:
        count: Number of axes.
        across: Largest number of axes in a row.
        size: Width and height of one, in inches.
        least: Smallest width of the figure, in inches; its caption needs room.
    """
    across = min(count, across)
    down = -(-count // across)
    figure, axes = plt.subplots(down, across, figsize=(max(size[0] * across, least), size[1] * down), squeeze=False)
    for spare in axes.flat[count:]:
        spare.remove()
    return figure, list(axes.flat[:count])


def note(ax: Axes, text: str) -> None:
    """Write a caption under the figure, wrapped to its width."""
    figure = ax.figure
    figure.supxlabel(_wrap(literal(text), int(figure.get_figwidth() * 13)), fontsize=9, color="0.35", x=0.01, ha="left")  # type: ignore[union-attr]


def label_text(value: object) -> str:
    """The value of a label, a word or a whole number, which is a float where others are missing."""
    return literal(value) if isinstance(value, str) else str(int(value))  # type: ignore[call-overload]


def literal(text: str) -> str:
    """The text with escaped dollar signs, since matplotlib reads text between them as mathematics."""
    return text.replace("$", r"\$")


def _wrap(text: str, width: int) -> str:
    lines = [""]
    for part in text.split("; "):
        if len(lines[-1]) + len(part) > width and lines[-1]:
            lines.append("")
        lines[-1] += ("; " if lines[-1] else "") + part
    return "\n".join(lines)


def _apart(steps: list[int], positions: np.ndarray) -> list[int]:
    """The steps whose labels fit on an axis, including the first and the last."""
    least = float(np.ptp(positions)) / MOST_STEPS if len(positions) else 0.0
    kept: list[int] = []
    for n, position in enumerate(positions):
        if not kept or position - positions[kept[-1]] >= least:
            kept.append(n)
    if kept and kept[-1] != len(steps) - 1:
        kept = [*(n for n in kept if n == 0 or positions[-1] - positions[n] >= least), len(steps) - 1]
    return [steps[n] for n in kept]


def step_axis(ax: Axes, steps: pd.Series, label: str) -> None:
    """Make the horizontal axis a logarithmic axis of training steps that includes 0.

    Args:
        ax: The axes.
        steps: Steps to label; labels that would overlap are left out.
        label: Label of the axis.
    """
    known = sorted({int(step) for step in steps.dropna()})
    ax.set_xscale("symlog", linthresh=max(1, min((s for s in known if s > 0), default=1)), linscale=0.6)
    shown = _apart(known, ax.xaxis.get_transform().transform(np.array(known, dtype=float)))
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(shown, [f"{step:,}" for step in shown], rotation=45 if len(shown) > 8 else 0)
    ax.set_xlabel(f"{label} (logarithmic, with 0)")
