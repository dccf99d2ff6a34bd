"""Training runs of rows: where more labels than the seed tell runs apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd


def by_run(tables: Mapping[str, pd.DataFrame], names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Tables in which ``seed`` names the training run by all its labels, such as ``adam 3``, in place of their columns.

    Two runs may have one seed and differ in another label. Series, means and figures go by ``seed``; without this they
    would take the two for one run.

    >>> losses = pd.DataFrame({"seed": [3, 3], "optimizer": ["adam", "sgd"]})
    >>> list(by_run({"loss": losses}, ["optimizer"])["loss"]["seed"])
    ['adam 3', 'sgd 3']

    Args:
        tables: Rows by the name of the table.
        names: The labels beside ``seed`` that tell runs apart; without any the tables are as they were.
    """
    return {table: _named(rows, names) if names else rows for table, rows in tables.items()}


def _named(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    new: dict[str, pd.Series] = {}
    for end in ("", "_a", "_b"):
        columns = [f"{name}{end}" for name in (*names, "seed") if f"{name}{end}" in rows]
        if f"seed{end}" in columns:
            runs = [_name(labels) for labels in zip(*(rows[name] for name in columns), strict=True)]
            new[f"seed{end}"] = pd.Series(runs, rows.index, dtype=object)
    inside = [f"{name}{end}" for name in names for end in ("", "_a", "_b") if f"seed{end}" in new]
    return rows.assign(**new).drop(columns=inside, errors="ignore")


def _name(labels: Sequence[object]) -> str | None:
    known = [str(int(value)) if isinstance(value, float) else str(value) for value in labels if pd.notna(value)]
    return " ".join(known) or None


def telling_apart(labels: Sequence[Mapping[str, object]]) -> list[str]:
    """The labels beside the usual ones that tell runs apart: those of several values, or all where there is no seed.

    Args:
        labels: Labels of each checkpoint, without those of steps and branches.
    """
    free = dict.fromkeys(name for own in labels for name in own if name != "seed")
    seeded = any(own.get("seed") is not None for own in labels)
    return [name for name in free if not seeded or len({own.get(name) for own in labels}) > 1]
