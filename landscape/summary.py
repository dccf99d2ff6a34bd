"""Rows to findings: frames in, frames out, with intervals that know what their numbers share."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from landscape.barrier import TAIL, matrix, mean_of_pairs

Z = float(stats.norm.ppf(1 - TAIL))


def barrier_over_training(barriers: pd.DataFrame) -> pd.DataFrame:
    """Mean barrier between seeds at each step.

    Args:
        barriers: Rows of the table ``barrier`` of one definition.

    Returns:
        ``step, barrier, low, high, pairs``; see :func:`landscape.barrier.mean_of_pairs` for the interval.
    """
    return _means(barriers[barriers["between"] == "seeds"], "step_a", "seed").rename(columns={"step_a": "step"})


def barrier_over_parting(barriers: pd.DataFrame) -> pd.DataFrame:
    """Mean barrier between children at each step of parting: ``parted, barrier, low, high, pairs``."""
    return _means(barriers[barriers["between"] == "children"], "parted", "child")


def mean_profiles(profiles: pd.DataFrame) -> pd.DataFrame:
    """Mean profile over the pairs of seeds at each step.

    Args:
        profiles: Rows of the table ``profile``.

    Returns:
        ``step, t``, and for ``loss`` and ``rise`` the mean with ``_low`` and ``_high``.
    """
    rows = []
    for (step, t), group in profiles[profiles["between"] == "seeds"].groupby(["step_a", "t"], dropna=False):
        row: dict[str, Any] = {"step": step, "t": t}
        for value, error in (("loss", "error"), ("rise", "rise_error")):
            row[value], row[f"{value}_low"], row[f"{value}_high"] = _mean(group, value, group[error], "seed")
        rows.append(row)
    return pd.DataFrame(rows)


def _means(barriers: pd.DataFrame, by: str, unit: str) -> pd.DataFrame:
    rows = []
    for where, group in barriers.groupby(by, dropna=False):
        mean, low, high = _mean(group, "barrier", (group["high"] - group["low"]) / (2 * Z), unit)
        rows.append({by: where, "barrier": mean, "low": max(low, 0.0), "high": high, "pairs": len(group)})
    return pd.DataFrame(rows)


def _mean(group: pd.DataFrame, value: Hashable, error: pd.Series, unit: str) -> tuple[float, float, float]:
    """Mean over pairs of units; pairs that are not one full matrix are averaged as they are."""
    names = sorted({*group[f"{unit}_a"], *group[f"{unit}_b"]})
    place = {name: n for n, name in enumerate(names)}
    a, b = (group[f"{unit}_{side}"].map(place).to_numpy(dtype=int) for side in "ab")
    values, errors = group[value].to_numpy(dtype=float), error.to_numpy(dtype=float)
    square = matrix(a, b, values, len(names))
    if np.isnan(square).any():
        half = Z * float(errors.mean())
        return float(values.mean()), float(values.mean()) - half, float(values.mean()) + half
    return mean_of_pairs(square, matrix(a, b, errors, len(names)))
