"""Lines that say how numbers were made; they need no library of figures."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from landscape.catalogue import DEFINITIONS

MOST_UNKNOWN = 0.1
"""Share of unknown tokens beyond which a caption says it."""
MANY = 12
"""Steps up to which each is named."""
ALL = 0.995
"""Share of evaluations from which on all are said to be."""


def caption(rows: pd.DataFrame) -> str:
    """How the rows were made: barrier definition, t grid, objective, examples, dtype."""
    parts = []
    if "definition" in rows:
        of = (
            f", of {_only(rows, 'metric')} in place of the loss: a change for the worse is a rise"
            if "metric" in rows
            else ""
        )
        parts.append(f"barrier: {DEFINITIONS[_only(rows, 'definition')].help}{of}")
    if "points" in rows:
        parts.append(f"{_grid(rows)} on a {_only(rows, 'path')} path")
    parts.append(f"objective: {_only(rows, 'objective')}, {_only(rows, 'unit')}")
    if "unknown" in rows and (share := float(pd.to_numeric(rows["unknown"]).max())) > MOST_UNKNOWN:
        parts.append(f"{share:.0%} of the tokens of the text are unknown to the tokenizer")
    tokens = f" of {_only(rows, 'length')} tokens" if rows["length"].notna().all() else ""
    parts.append(f"{_range(rows, 'examples')} examples{tokens}{_share(rows)}")
    dtype = _only(rows, "dtype")
    errors = pd.to_numeric(rows["dtype_error"]).dropna()
    parts.append(dtype + (f", within {errors.max():.1g} of float32 where compared" if len(errors) else ""))
    return "; ".join(parts)


def steps_in_words(steps: Sequence[float]) -> str:
    """Steps in a text: all if they are few, else the first and the last.

    >>> steps_in_words([1, 4, 1000]), steps_in_words(range(20))
    ('1, 4, 1,000', '0 to 19')
    """
    known = [f"{int(step):,}" for step in steps]
    return ", ".join(known) if len(known) <= MANY else f"{known[0]} to {known[-1]}"


def of_mean(low: pd.Series, pairs: pd.Series, units: str) -> str:
    """What the interval of a mean over pairs is about, or why there is none.

    Args:
        low: Lower ends of the means; nan where there are too few units for an interval.
        pairs: Pairs behind each mean.
        units: What pairs share: seeds, branches, checkpoints.
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
    if errors.empty and "adaptive" not in set(rows.get("grid", ())):
        return f"t grid: {_only(rows, 'points')} even points"
    between = "the error between them is not known" if errors.empty else f"error between them up to {errors.max():.1g}"
    return f"t grid: {_range(rows, 'points')} Chebyshev points, {between}"


def _share(rows: pd.DataFrame) -> str:
    """How much of what lies between the ends was evaluated, if not all."""
    if "evaluations" not in rows:
        return ""
    share = float(rows["evaluations"].sum() / ((rows["points"] - 2) * rows["examples"]).sum())
    return f", on average {share:.0%} of them evaluated at a point between the ends" if share < ALL else ""


def _range(rows: pd.DataFrame, column: str) -> str:
    low, high = rows[column].min(), rows[column].max()
    return f"{low}" if low == high else f"{low} to {high}"


def _only(rows: pd.DataFrame, column: str) -> str:
    return " or ".join(str(value) for value in sorted(rows[column].dropna().unique()))
