"""The local learning coefficient against step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.figures.captions import caption
from landscape.figures.frames import Frames
from landscape.figures.section import Section, spots
from landscape.figures.style import ONE, colours, run_text, run_words, step_axis


def llc_over_training(
    rows: pd.DataFrame, *, ax: Axes | None = None, by: str = "step", label: str = "training step"
) -> Axes:
    """LLC of each seed with its 95 % interval; unreliable estimates are hollow.

    Args:
        rows: Rows of the table ``llc``.
        ax: Axes to draw on; None is the current axes.
        by: Column of the horizontal axis: ``step``, or for branches ``branch_step``.
        label: Label of the horizontal axis.
    """
    ax = ax or plt.gca()
    seeds = rows["seed"].dropna().unique()
    for color, seed in zip(colours(max(len(seeds), 1)), seeds, strict=True):
        run = rows[rows["seed"] == seed].sort_values(by)
        step, llc, low, high = (run[name].to_numpy(dtype=float) for name in (by, "llc", "low", "high"))
        named = run_text(seed) if len(seeds) <= 10 else None
        line = "none" if by == "branch_step" else "-"
        ax.errorbar(
            step,
            llc,
            yerr=[llc - low, high - llc],
            color=color,
            marker="o",
            markersize=4,
            capsize=2,
            label=named,
            linestyle=line,
        )
        unreliable = ~run["reliable"].to_numpy(dtype=bool)
        ax.plot(
            step[unreliable],
            llc[unreliable],
            "o",
            markersize=6,
            markerfacecolor="white",
            markeredgecolor=color,
            zorder=3,
        )
    step_axis(ax, rows[by], label)
    ax.set_ylabel("local learning coefficient")
    if len(seeds) <= 10:
        ax.legend(frameon=False, fontsize="small")
    return ax


def about(rows: pd.DataFrame) -> str:
    """Caption: how the rows were made, and what the bars and hollow dots mean."""
    first = rows.iloc[0]
    steps = rows["step_size"]
    size = f"{steps.min():.2g}" if steps.nunique() == 1 else f"{steps.min():.2g} to {steps.max():.2g}, by curvature"
    moved = "" if first["moved"] == "all" else f"only {first['moved']} moved; "
    mode = "" if first["mode"] == "evaluation" else "dropout on; "
    return (
        f"{moved}{mode}{first['sampler']}, {first['chains']} chains of {first['draws']} draws after "
        f"{first['burn_in']}; n_beta {first['n_beta']:.3g}, localisation {first['localisation']:g}, step size {size}; "
        "bars: 95 % Monte Carlo interval, extended downwards by the largest bias of the step size, without the error "
        "of the examples; "
        "hollow: unreliable, see the column warnings"
    )


def coefficients(rows: pd.DataFrame) -> Figure:
    """A panel for each setting of the sampler, and for branches.

    Args:
        rows: Rows of the table ``llc``.
    """
    groups = _groups(rows)
    figure, axes = plt.subplots(len(groups), figsize=(ONE[0], ONE[1] * len(groups)), squeeze=False)
    for ax, part in zip(axes.flat, groups, strict=True):
        if part["branches"].any():
            label = f"step the branches were spawned at; they are at step {int(part['step'].max()):,}"
            llc_over_training(part, ax=ax, by="branch_step", label=label)
        else:
            llc_over_training(part, ax=ax)
        if len(groups) > 1:
            title = f"moved: {part['moved'].iloc[0]}; localisation {part['localisation'].iloc[0]:g}"
            ax.set_title(title, fontsize="small")
    return figure


def _groups(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each panel."""
    settings = ["branches", "sampler", "moved", "mode", "n_beta", "localisation"]
    return [part for _, part in rows.assign(branches=rows["branch_step"].notna()).groupby(settings, sort=False)]


def section(frames: Frames) -> Section | None:
    """The coefficient over training."""
    rows = frames.llc
    if rows.empty:
        return None
    rows = rows[rows["step"].notna() & rows["seed"].notna()]
    if rows.empty:
        return None
    groups = _groups(rows)
    figure = coefficients(rows)
    text = f"{'; '.join(dict.fromkeys(about(part) for part in groups))}; {caption(rows)}"
    return Section.of(
        "Local learning coefficient over training",
        "How many directions around a checkpoint cost loss, counted smoothly: half of the parameters at a regular "
        "minimum, less where the loss is degenerate. A jump indicates a change of what the model computes."
        f"{_unreliable(rows)}{_localised(rows)}",
        figure, text, rows={"rows": rows}, draw="llc.coefficients(rows)",
        spots=[
            spots(ax, part, "branch_step" if part["branches"].any() else "step", "llc", _said)
            for ax, part in zip(figure.axes, groups, strict=True)
        ],
    )  # fmt: skip


def _said(row: Mapping[Hashable, Any]) -> str:
    """A checkpoint and its coefficient, in words."""
    where = f"{run_words(row['seed'])}, step {int(row['step']):,}"
    warnings = "" if row["reliable"] else f"; unreliable: {row['warnings']}"
    return f"{where}: {row['llc']:.1f} [{row['low']:.1f}, {row['high']:.1f}]{warnings}"


def _unreliable(rows: pd.DataFrame) -> str:
    """How many estimates are unreliable, and the most frequent reasons."""
    unreliable = rows[~rows["reliable"].astype(bool)]
    if unreliable.empty:
        return ""
    reasons = Counter(
        warning.split(" (")[0].split(":")[0] for warnings in unreliable["warnings"] for warning in warnings.split("; ")
    )
    most_common = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common(3))
    return f" Unreliable: {len(unreliable)} of {len(rows)} ({most_common})."


def _localised(rows: pd.DataFrame) -> str:
    """How many estimates depend on the localisation more than on the loss."""
    advised = int((rows.get("advice", pd.Series("", rows.index)).fillna("") != "").sum())
    text = f" Determined by the localisation more than by the loss: {advised} of {len(rows)} (column advice)."
    return text if advised else ""
