"""KL divergence between seeds over training, its phases, and by frequency of the token."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.style import panels, step_axis

LABEL = "KL between seeds (nats)"


def kl_over_training(means: pd.DataFrame, phases: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Mean KL over the pairs of seeds at each step, both ways, with its phases.

    Args:
        means: ``step, value, low, high``; an end that is missing draws none.
        phases: ``phase, begin, end``; may be empty.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    colors = sns.color_palette("pastel")
    for number, row in enumerate(phases.to_dict("records")):
        ax.axvspan(row["begin"], row["end"], color=colors[number], alpha=0.35, lw=0, label=row["phase"])
    value = means["value"]
    sides = [(value - means["low"].fillna(value)).clip(lower=0), (means["high"].fillna(value) - value).clip(lower=0)]
    ax.errorbar(means["step"], value, yerr=sides, color="0.2", marker="o", capsize=3, label="mean over pairs")
    step_axis(ax, means["step"], "training step")
    ax.set_ylabel(LABEL)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    return ax


def kl_by_subset(means: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Mean KL over training of each subset of predictions.

    Args:
        means: ``subset, step, value``.
        ax: Axes to draw on; None is the current axes.
    """
    ax = ax or plt.gca()
    names = list(dict.fromkeys(means["subset"]))
    for name, color in zip(names, sns.color_palette("crest", len(names)), strict=True):
        own = means[means["subset"] == name]
        ax.plot(own["step"], own["value"], marker=".", color=color, label=name)
    step_axis(ax, means["step"], "training step")
    ax.set_ylabel(LABEL)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize="small", ncols=2)
    return ax


def drawn(means: pd.DataFrame, phases: pd.DataFrame) -> Figure:
    """A figure of the KL over all predictions, and of that of each subset if there are any.

    Args:
        means: ``subset, step, value, low, high``.
        phases: ``phase, begin, end``; may be empty.
    """
    means = means.assign(
        subset=means["subset"].astype(object).where(means["subset"].notna(), "")
    )  # as CSV files have it
    parts = means[means["subset"] != ""]
    figure, axes = panels(1 + (not parts.empty), across=2, size=(4.8, 3.9))
    kl_over_training(means[means["subset"] == ""], phases, ax=axes[0])
    if not parts.empty:
        kl_by_subset(parts, ax=axes[1])
    return figure


def section(frames: Frames) -> Section | None:
    """The KL over training, where seeds were compared at several steps."""
    means = frames.kl
    if means.empty or means["step"].nunique() < 2:
        return None
    figure = drawn(means, frames.phases)
    pairs = int(means["pairs"].max())
    return Section.of(
        "KL between seeds over training",
        "How far the predictions of two seeds lie apart, as the expected KL divergence both ways. Models often go "
        "through four phases: nearly uniform predictions, convergence to the frequencies of tokens, divergence as each "
        "learns contexts, and a slow reconvergence. Rare tokens are frequency 1, the most frequent ones 10.",
        figure, f"{pairs} pair{'s' * (pairs > 1)} of seeds; bars: 95 % intervals, over seeds where there are five",
        rows={"means": means, "phases": frames.phases}, draw="divergence.drawn(means, phases)",
    )  # fmt: skip
