"""The style of all figures, and their captions."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from textwrap import fill

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
EVEN = 1.05
"""Largest ratio of the distances between steps that are called evenly spaced."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d3b")
"""Colours that stay apart for colour-blind readers (Okabe & Ito 2008), the last added, without black and yellow."""
DARK = "#0d0d0d"
"""Letters on light cells, where the page is dark, too."""
BANDS = ("#eef2f7", "#dbe4ef")
"""Backgrounds of stages, in turn."""
ONE = (6.0, 3.8)
"""Width and height of a figure of one panel, in inches, whose letters can be read on a phone."""
ENOUGH_SEEDS = 5
"""Seeds from which on a band stands for them; of fewer, each pair or seed is drawn."""
PAPER: dict[str, object] = {
    "font.size": 8, "axes.labelsize": 8, "axes.titlesize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 7, "lines.linewidth": 1.2, "lines.markersize": 3.5, "axes.linewidth": 0.6,
    "grid.linewidth": 0.4, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 3,
    "ytick.major.size": 3, "pdf.fonttype": 42, "ps.fonttype": 42, "savefig.dpi": 300,
}  # fmt: skip
"""Settings for papers: letters of seven and eight points, and fonts that are embedded as outlines of type 42."""


@contextmanager
def style(*, paper: bool = False, text: bool = False) -> Generator[None]:
    """Context in which figures have this style.

    Args:
        paper: Whether sizes are those of a paper, and not those of a screen.
        text: Whether SVG files hold texts as texts, which can be searched, and not as outlines.
    """
    with sns.axes_style("whitegrid", {"axes.edgecolor": "0.3"}), sns.plotting_context("notebook"), rc_context({
        "svg.fonttype": "none" if text else "path", "svg.hashsalt": "landscape", "figure.constrained_layout.use": True,
        "axes.spines.right": False, "axes.spines.top": False, **(PAPER if paper else {}),  # type: ignore[dict-item]
    }):  # fmt: skip
        yield


def colours(count: int) -> list[str]:
    """Colours of so many kinds or seeds: of up to seven the fixed ones, of more shades in their order."""
    return list(COLOURS[:count]) if count <= len(COLOURS) else sns.color_palette("viridis", count).as_hex()


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
    figure = ax.get_figure(root=True)
    assert figure is not None
    words = _wrap(literal(text), int(figure.get_figwidth() * 13))
    figure.supxlabel(words, fontsize="small", color="0.35", x=0.01, ha="left")


def label_text(value: object) -> str:
    """The value of a label in a figure."""
    return literal(label_words(value))


def label_words(value: object) -> str:
    """The value of a label, a word or a whole number, which is a float where others are missing."""
    return value if isinstance(value, str) else str(int(value))  # type: ignore[call-overload]


def run_words(value: object) -> str:
    """What the training run of a label is called: by its seed if that is a number, else by its name.

    >>> run_words(3.0), run_words("adam")
    ('seed 3', 'run adam')
    """
    words = label_words(value)
    return f"{'seed' if words.isdigit() else 'run'} {words}"


def run_text(value: object) -> str:
    """The same in a figure."""
    return literal(run_words(value))


def literal(text: str) -> str:
    """The text without control characters, and with escaped dollar signs: between them matplotlib reads mathematics."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text).replace("$", r"\$")


def _wrap(text: str, width: int) -> str:
    lines = [""]
    for part in text.split("; "):
        if lines[-1] and len(f"{lines[-1]}; {part}") > width:
            lines.append("")
        lines[-1] += ("; " if lines[-1] else "") + part
    return "\n".join(fill(line, width, break_on_hyphens=False) for line in lines)


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


def even(steps: Sequence[int] | np.ndarray) -> bool:
    """Whether three or more steps are evenly spaced."""
    gaps = np.diff(np.unique(steps))
    return len(gaps) > 1 and bool(gaps.max() <= EVEN * gaps.min())


def step_axis(ax: Axes, steps: pd.Series, label: str) -> None:
    """Make the horizontal axis one of training steps: logarithmic and with 0, unless they are evenly spaced.

    Args:
        ax: The axes.
        steps: Steps to label; labels that would overlap are left out.
        label: Label of the axis.
    """
    known = sorted({int(step) for step in steps.dropna()})
    if not (linear := even(known)):
        ax.set_xscale("symlog", linthresh=max(1, min((s for s in known if s > 0), default=1)), linscale=0.6)
    shown = _apart(known, ax.xaxis.get_transform().transform(np.array(known, dtype=float)))
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    ax.tick_params(axis="x", labelrotation=45 if len(shown) > 8 else 0)
    ax.set_xlabel(label if linear else f"{label} (logarithmic, with 0)")
