"""One look for all figures, and the line that says how their numbers were made."""

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
"""Labels that an axis of steps has room for."""
MOST_UNKNOWN = 0.1
"""Share of unknown tokens beyond which a caption says it."""
MEANING = {
    "chord": "barrier: largest rise of the loss above the chord",
    "mean_ends": "barrier: largest loss above the mean of the ends",
    "max_ends": "barrier: largest loss above the higher end",
    "midpoint": "barrier: loss at t = 1/2 above the mean of the ends",
    "area": "barrier: area between loss and chord",
    "convexity_gap": "barrier: largest rise above the chord of any sub-segment",
}


@contextmanager
def style() -> Generator[None]:
    """The look of a figure, and nothing of it afterwards."""
    with sns.axes_style("whitegrid", {"axes.edgecolor": "0.3"}), sns.plotting_context("notebook"), rc_context({
        "svg.fonttype": "path", "svg.hashsalt": "landscape", "figure.constrained_layout.use": True,
        "axes.spines.right": False, "axes.spines.top": False,
    }):  # fmt: skip
        yield


def caption(rows: pd.DataFrame) -> str:
    """How the rows were made: barrier definition, t grid, objective, examples, numerics."""
    parts = []
    if "definition" in rows:
        parts.append(MEANING[_only(rows, "definition")])
    if "points" in rows:
        parts.append(f"{_grid(rows)} on a {_only(rows, 'path')} path")
    parts.append(f"objective: {_only(rows, 'objective')}, {_only(rows, 'unit')}")
    if "unknown" in rows and (share := float(pd.to_numeric(rows["unknown"]).max())) > MOST_UNKNOWN:
        parts.append(f"{share:.0%} of the tokens of the text are unknown to the tokenizer")
    parts.append(f"{_range(rows, 'examples')} examples of {_only(rows, 'length')} tokens")
    numerics = _only(rows, "numerics")
    errors = pd.to_numeric(rows["numerics_error"]).dropna()
    parts.append(numerics + (f", within {errors.max():.1g} of float32 where compared" if len(errors) else ""))
    return "; ".join(parts)


def of_mean(low: pd.Series, pairs: pd.Series, units: str) -> str:
    """What the interval of a mean over pairs is about, or why there is none.

    Args:
        low: Lower ends of the means; nan where there are too few units for an interval.
        pairs: Pairs behind each mean.
        units: What pairs share: seeds, children, checkpoints.
    """
    if (pairs == 1).all():
        return "mean: one pair, 95 % interval over examples"
    if low[pairs > 1].isna().all():
        return f"mean: no interval over so few {units}"
    enough = ", where there are enough" if low.isna().any() else ""
    return f"mean: 95 % interval over {units}, which pairs share, and over examples{enough}"


def _grid(rows: pd.DataFrame) -> str:
    """The t grid: even, or adaptive with the error that it leaves."""
    errors = pd.to_numeric(rows["t_error"]).dropna() if "t_error" in rows else pd.Series(dtype=float)
    if errors.empty:
        return f"t grid: {_only(rows, 'points')} even points"
    return f"t grid: {_range(rows, 'points')} Chebyshev points, error between them up to {errors.max():.1g}"


def _range(rows: pd.DataFrame, column: str) -> str:
    low, high = rows[column].min(), rows[column].max()
    return f"{low}" if low == high else f"{low} to {high}"


def _only(rows: pd.DataFrame, column: str) -> str:
    return " or ".join(str(value) for value in sorted(rows[column].dropna().unique()))


def panels(
    count: int, across: int = 3, size: tuple[float, float] = (3.9, 3.3), least: float = 8.0
) -> tuple[Figure, list[Axes]]:
    """A figure with so many axes.

    Args:
        count: How many.
        across: Most in a row.
        size: Inches of one.
        least: Width of the figure at least, for its caption.
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


def literal(text: str) -> str:
    """The text as it is: matplotlib would take what stands between dollars for mathematics."""
    return text.replace("$", r"\$")


def _wrap(text: str, width: int) -> str:
    lines = [""]
    for part in text.split("; "):
        if len(lines[-1]) + len(part) > width and lines[-1]:
            lines.append("")
        lines[-1] += ("; " if lines[-1] else "") + part
    return "\n".join(lines)


def _apart(steps: list[int], places: np.ndarray) -> list[int]:
    """The steps whose labels have room on an axis, the first and the last among them."""
    least = float(np.ptp(places)) / MOST_STEPS if len(places) else 0.0
    kept: list[int] = []
    for n, place in enumerate(places):
        if not kept or place - places[kept[-1]] >= least:
            kept.append(n)
    if kept and kept[-1] != len(steps) - 1:
        kept = [*(n for n in kept if n == 0 or places[-1] - places[n] >= least), len(steps) - 1]
    return [steps[n] for n in kept]


def step_axis(ax: Axes, steps: pd.Series, label: str) -> None:
    """A logarithmic axis of training steps that has room for 0."""
    known = sorted({int(step) for step in steps.dropna()})
    ax.set_xscale("symlog", linthresh=max(1, min((s for s in known if s > 0), default=1)), linscale=0.6)
    shown = _apart(known, ax.xaxis.get_transform().transform(np.array(known, dtype=float)))
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(shown, [f"{step:,}" for step in shown], rotation=45 if len(shown) > 8 else 0)
    ax.set_xlabel(f"{label} (logarithmic, with 0)")
