"""Rows to findings: frames in, frames out, with intervals that know what their numbers share."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd
from scipy import stats

from landscape.profile.definitions import TAIL
from landscape.profile.units import mean_over_units

RAW = "none"
LINE, CONTROL, ARCS = "linear", "control", ("spherical", "geodesic")
Z = float(stats.norm.ppf(1 - TAIL))


def barrier_over_training(barriers: pd.DataFrame) -> pd.DataFrame:
    """Mean barrier between seeds at each step.

    Args:
        barriers: Rows of the table ``barrier`` of one definition.

    Returns:
        ``step, barrier, low, high, pairs, best, worst``; see :func:`landscape.profile.units.mean_over_units` for the
            interval, which is nan with fewer than five seeds.
    """
    return _means(barriers[barriers["between"] == "seeds"], "step_a", "seed").rename(columns={"step_a": "step"})


def barrier_over_branching(barriers: pd.DataFrame) -> pd.DataFrame:
    """Mean barrier between branches at each step of branching: ``branch_step, barrier, low, high, pairs, best, worst``.

    Branches of one seed are the units of their mean; those of several seeds are pooled, and the seeds are the units.
    """
    return _means(barriers[barriers["between"] == "branches"], "branch_step", "branch")


def mean_profiles(profiles: pd.DataFrame, by: str = "step_a") -> pd.DataFrame:
    """Mean profile over the pairs of seeds at each step, at those t that all of its pairs have.

    Args:
        profiles: Rows of the table ``profile``.
        by: Column in place of the step.

    Returns:
        ``step``, or the other column, ``t``, and for ``loss`` and ``rise`` the mean with ``_low`` and ``_high``.
    """
    rows, seeds = [], profiles[profiles["between"] == "seeds"]
    pairs = seeds.groupby([by, "t"], dropna=False)["t"].transform("size")
    all_pairs = pairs.groupby(seeds[by], dropna=False).transform("max")
    shared = seeds[pairs == all_pairs]
    for (which, t), group in shared.groupby([by, "t"], dropna=False):
        row: dict[str, Any] = {"step" if by == "step_a" else by: which, "t": t}
        for value, error in (("loss", "error"), ("rise", "rise_error")):
            row[value], row[f"{value}_low"], row[f"{value}_high"] = _mean(
                group, value, group[error], ("seed_a", "seed_b")
            )
        rows.append(row)
    return pd.DataFrame(rows)


def straight(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows on straight lines between checkpoints as they are."""
    return rows[(rows["path"] == LINE) & (rows["symmetry"] == RAW)]


def alignments(barriers: pd.DataFrame) -> pd.DataFrame:
    """The rows on straight lines of pairs that were matched: raw, matched, and the control.

    Args:
        barriers: Rows of the table ``barrier`` of one definition.

    Returns:
        The rows, with a column ``how`` that tells ways of matching apart.
    """
    rows = barriers[barriers["path"] == LINE]
    pairs = rows.loc[rows["symmetry"] != RAW, ["a", "b", "between"]].drop_duplicates()
    rows = rows.merge(pairs, on=["a", "b", "between"])
    if rows.empty:
        return rows.assign(how="")
    several = rows.loc[rows["symmetry"] != RAW, ["symmetry_group", "groups"]].drop_duplicates()
    names = [
        how if how == RAW or len(several) == 1 else f"{how} ({symmetry_group}{'' if groups == '*' else f', {groups}'})"
        for how, symmetry_group, groups in zip(rows["symmetry"], rows["symmetry_group"], rows["groups"], strict=True)
    ]
    return rows.assign(how=names)


def by_symmetry(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean barrier over the pairs by what was done about symmetries, at each step.

    Args:
        rows: From :func:`alignments`.

    Returns:
        ``between, step, how, barrier, low, high, pairs, best, worst``; the interval is that of
            :func:`barrier_over_training`.
    """
    out = []
    for (between, step, how), group in rows.groupby(["between", "step_a", "how"], dropna=False, sort=False):
        half = (group["high"] - group["low"]) / (2 * Z)
        mean, low, high = _mean(group, "barrier", half, ("a", "b"))
        out.append({"between": between, "step": step, "how": how, "barrier": mean, "low": max(low, 0.0), "high": high,
                    **_range(group)})  # fmt: skip
    return pd.DataFrame(out)


def curves(barriers: pd.DataFrame) -> pd.DataFrame:
    """The rows of pairs for which a curve was learned: curves, their controls, and the straight lines beside them.

    Args:
        barriers: Rows of the table ``barrier`` of one definition, or of the table ``profile``.
    """
    learned = set(barriers["path"]) - {LINE, *ARCS, CONTROL}
    pairs = barriers.loc[barriers["path"].isin(learned), ["a", "b", "symmetry"]].drop_duplicates()
    return barriers[barriers["path"].isin({LINE, CONTROL, *learned})].merge(pairs, on=["a", "b", "symmetry"])


def by_path(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean barrier and loss increases over the pairs of each path.

    The columns are ``path``, each mean with ``_low`` and ``_high``, and ``pairs, best, worst``.

    Args:
        rows: From :func:`curves`.
    """
    out = []
    for path, group in rows.groupby("path"):
        row: dict[str, Any] = {"path": path, **_range(group)}
        half = (group["high"] - group["low"]) / (2 * Z)
        for value, error in (
            ("barrier", half),
            *((v, group[f"{v}_error"]) for v in ("loss_increase", "mean_loss_increase")),
        ):
            row[value], row[f"{value}_low"], row[f"{value}_high"] = _mean(group, value, error, ("a", "b"))
        out.append(row | {"barrier_low": max(row["barrier_low"], 0.0)})
    return pd.DataFrame(out)


def _means(barriers: pd.DataFrame, by: str, unit: str) -> pd.DataFrame:
    rows = []
    for where, group in barriers.groupby(by, dropna=False):
        names = "seed" if group["seed_a"].nunique() > 1 else unit
        half = (group["high"] - group["low"]) / (2 * Z)
        mean, low, high = _mean(group, "barrier", half, (f"{names}_a", f"{names}_b"))
        rows.append({by: where, "barrier": mean, "low": max(low, 0.0), "high": high, **_range(group)})
    return pd.DataFrame(rows)


def _range(group: pd.DataFrame) -> dict[str, Any]:
    """How many pairs there are, and the barriers of the best and the worst of them."""
    return {"pairs": len(group), "best": float(group["barrier"].min()), "worst": float(group["barrier"].max())}


def _mean(group: pd.DataFrame, value: Hashable, error: pd.Series, units: tuple[str, str]) -> tuple[float, float, float]:
    """Mean over pairs of the units in two columns."""
    names = sorted({*group[units[0]], *group[units[1]]})
    place = {name: n for n, name in enumerate(names)}
    a, b = (group[unit].map(place).to_numpy(dtype=int) for unit in units)
    return mean_over_units(group[value].to_numpy(dtype=float), error.to_numpy(dtype=float), a, b)
