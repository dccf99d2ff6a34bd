"""Captions that say how numbers were made; they import no plotting library."""

from __future__ import annotations

import pandas as pd

from landscape.catalogue import DEFINITIONS

MAX_UNKNOWN = 0.1
"""Share of unknown tokens above which a caption mentions them."""
ALL = 0.995
"""Share of evaluations above which a caption counts all as evaluated."""


def caption(rows: pd.DataFrame) -> str:
    """How the rows were made: barrier definition, t grid, objective, examples, dtype."""
    parts = []
    if "definition" in rows:
        parts.append(f"barrier: {DEFINITIONS[_only(rows, 'definition')].help}")
    if "points" in rows:
        parts.append(f"{_grid(rows)} on a {_only(rows, 'path')} path")
    parts.append(f"objective: {_only(rows, 'objective')}, {_only(rows, 'unit')}")
    if "unknown" in rows and (share := float(pd.to_numeric(rows["unknown"]).max())) > MAX_UNKNOWN:
        parts.append(f"{share:.0%} of the tokens of the text are unknown to the tokenizer")
    parts.append(f"{_range(rows, 'examples')} examples of {_only(rows, 'length')} tokens{_share(rows)}")
    dtype = _only(rows, "dtype")
    errors = pd.to_numeric(rows["dtype_error"]).dropna()
    parts.append(dtype + (f", within {errors.max():.1g} of float32 where compared" if len(errors) else ""))
    return "; ".join(parts)


def of_mean(low: pd.Series, pairs: pd.Series, units: str) -> str:
    """What the interval of a mean over pairs covers, or why there is none.

    Args:
        low: Lower ends of the intervals; nan if there are too few units.
        pairs: Number of pairs of each mean.
        units: Units that pairs share: ``seeds``, ``branches`` or ``checkpoints``.
    """
    if (pairs == 1).all():
        return "mean: one pair, 95 % interval over examples"
    if low[pairs > 1].isna().all():
        return f"mean: no interval over so few {units}"
    enough = ", where there are enough" if low.isna().any() else ""
    return f"mean: 95 % interval over {units}, which pairs share, and over examples{enough}"


def _grid(rows: pd.DataFrame) -> str:
    """The t grid: even, or adaptive with its remaining error."""
    errors = pd.to_numeric(rows["t_error"]).dropna() if "t_error" in rows else pd.Series(dtype=float)
    if errors.empty:
        return f"t grid: {_only(rows, 'points')} even points"
    return f"t grid: {_range(rows, 'points')} Chebyshev points, error between them up to {errors.max():.1g}"


def _share(rows: pd.DataFrame) -> str:
    """Share of the examples that were evaluated at points between the ends, if not all."""
    if "evaluations" not in rows:
        return ""
    share = float(rows["evaluations"].sum() / ((rows["points"] - 2) * rows["examples"]).sum())
    return f", on average {share:.0%} of them evaluated at a point between the ends" if share < ALL else ""


def _range(rows: pd.DataFrame, column: str) -> str:
    low, high = rows[column].min(), rows[column].max()
    return f"{low}" if low == high else f"{low} to {high}"


def _only(rows: pd.DataFrame, column: str) -> str:
    return " or ".join(str(value) for value in sorted(rows[column].dropna().unique()))
