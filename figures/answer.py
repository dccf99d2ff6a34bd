"""The answer of a report: at most six sentences with the main numbers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from landscape.catalogue import CURVES
from landscape.figures.curves import CONTROL, LINE
from landscape.figures.frames import Frames

MAX_SENTENCES = 6
UNSUITED = 0.5
"""Share of unknown tokens beyond which the answer begins with it."""


def answer(frames: Frames) -> list[str]:
    """What is connected, since when, and what of it alignment and curves explain; then the first findings on stages."""
    unit = "" if frames.barriers.empty else str(frames.barriers["unit"].iloc[0])
    found = [
        *_of_training(frames, unit),
        *_of_branches(frames.branching, unit),
        *_of_alignment(frames.by_symmetry, unit),
        *_of_curves(frames.by_path, unit),
    ]
    return [*_of_the_text(frames.losses), *found, *frames.sentences][:MAX_SENTENCES]


def _of_the_text(losses: pd.DataFrame) -> list[str]:
    """That the numbers say little of the models, where most tokens of the text are unknown to the tokenizer."""
    known = pd.to_numeric(losses["unknown"]).dropna() if "unknown" in losses else pd.Series(dtype=float)
    if known.empty or known.max() <= UNSUITED:
        return []
    share = f"{known.max():.0%} of its tokens are unknown to the tokenizer"
    return [
        f"The text does not suit the models: {share}, so what follows says little about what they have learned. Give a "
        "text of their kind: [data] text."
    ]


def _of_training(frames: Frames, unit: str) -> list[str]:
    training = frames.training
    if training.empty or training["step"].isna().any():
        return []
    first, last = training.iloc[0], training.iloc[-1]
    end = f"At the end (step {int(last['step']):,}) the mean barrier between seeds is {interval(last)} {unit}"
    rows = frames.barriers[frames.barriers["between"] == "seed"]
    rows = rows[rows["step_a"] == last["step"]]
    apart = f"; {int((rows['low'] > 0).sum())} of {len(rows)} pairs lie above zero with their 95 % interval"
    start = f"; at the start (step {int(first['step']):,}) it is {interval(first)}" if len(training) > 1 else ""
    return [f"{end}{apart}{start}."]


def _of_branches(branching: pd.DataFrame, unit: str) -> list[str]:
    if branching.empty:
        return []
    first, last = branching.iloc[0], branching.iloc[-1]
    earliest = f"Branches spawned earliest, after step {int(first['branch_step']):,}, end with a barrier of"
    if len(branching) == 1:
        return [f"{earliest} {interval(first)} {unit}."]
    return [f"{earliest} {interval(first)} {unit}; those spawned latest, after step {int(last['branch_step']):,}, "
            f"with {interval(last)}."]  # fmt: skip


def _of_alignment(by_symmetry: pd.DataFrame, unit: str) -> list[str]:
    if by_symmetry.empty:
        return []
    means = by_symmetry[by_symmetry["step"].isna() | (by_symmetry["step"] == by_symmetry["step"].max())]
    raw = means[means["how"] == "none"]
    others = [f"{interval(row)} ({row['how']})" for row in means[means["how"] != "none"].to_dict("records")]
    start = f"{interval(raw.iloc[0])} {unit}" if len(raw) else "not measured"
    return [f"The raw mean barrier is {start}; after alignment it is {', '.join(others)}."]


def _of_curves(by_path: pd.DataFrame, unit: str) -> list[str]:
    if by_path.empty:
        return []
    mean = by_path.set_index("path")
    curve = next(path for path in mean.index if path in CURVES)
    line = f"{interval(mean.loc[LINE], 'barrier_')} on the straight line and " if LINE in mean.index else ""
    control = (
        f" ({mean.loc[CONTROL, 'mean_loss_increase']:+.3f} on the way to a random point)"
        if CONTROL in mean.index else ""
    )  # fmt: skip
    return [
        f"Between {int(mean.loc[curve, 'pairs'])} pairs the mean barrier is {line}"
        f"{interval(mean.loc[curve], 'barrier_')} {unit} on learned curves, along which the mean loss increase over "
        f"the better endpoint is {mean.loc[curve, 'mean_loss_increase']:+.3f}{control}."
    ]


def interval(row: Mapping[Hashable, Any] | pd.Series, prefix: str = "") -> str:
    """A mean barrier with its interval; where there are too few seeds for one, with the range of the pairs.

    Args:
        row: ``barrier``, ends of the interval, ``pairs, best, worst``.
        prefix: What the names of the ends begin with.
    """
    low, high = (row[f"{prefix}{end}"] for end in ("low", "high"))
    if pd.isna(low):
        return f"{row['barrier']:.3f}" + (
            f" (pairs {row['best']:.3f} to {row['worst']:.3f})" if row["pairs"] > 1 else ""
        )
    return f"{row['barrier']:.3f} [{low:.3f}, {high:.3f}]"
