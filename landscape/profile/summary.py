"""Means of rows over pairs, with intervals for pairs that share seeds, branches or checkpoints."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd
from scipy import stats

from landscape.catalogue import CURVES
from landscape.profile.largest import TAIL
from landscape.profile.units import mean_over_units

RAW, LINE, CONTROL = "none", "linear", "control"
"""Values of ``symmetry`` for pairs that are not aligned, and of ``path`` for straight lines and control curves."""
Z = float(stats.norm.ppf(1 - TAIL))


def barrier_over_training(barriers: pd.DataFrame) -> pd.DataFrame:
    """Mean barrier between seeds at each step.

    Args:
        barriers: Rows of the table ``barrier``, for one definition.

    Returns:
        ``step, barrier, low, high, pairs, best, worst``, in units of the barriers. The 95 % interval is that of
        :func:`landscape.profile.units.mean_over_units`; it is nan with fewer than five seeds.
    """
    return _means(barriers[barriers["between"] == "seed"], "step_a", "seed").rename(columns={"step_a": "step"})


def barrier_over_branching(barriers: pd.DataFrame) -> pd.DataFrame:
    """Mean barrier between branches, by the step they were spawned at.

    The units of the interval are branches if there is one seed. Branches of several seeds are pooled, and the units
    are the seeds.

    Args:
        barriers: Rows of the table ``barrier``, for one definition.

    Returns:
        ``branch_step, barrier, low, high, pairs, best, worst``, in units of the barriers.
    """
    return _means(barriers[barriers["between"] == "branch"], "branch_step", "branch")


def mean_profiles(profiles: pd.DataFrame, by: str = "step_a") -> pd.DataFrame:
    """Mean profile over the pairs of seeds at each step, at the t that all of these pairs have.

    Args:
        profiles: Rows of the table ``profile``.
        by: Column to group by.

    Returns:
        ``step`` (or the column ``by``), ``t``, and the means ``loss`` and ``rise``, each with the ends ``_low`` and
        ``_high`` of its 95 % interval, in units of the losses.
    """
    rows, seeds = [], profiles[profiles["between"] == "seed"]
    pairs = seeds.groupby([by, "t"], dropna=False)["t"].transform("size")
    all_pairs = pairs.groupby(seeds[by], dropna=False).transform("max")
    shared = seeds[pairs == all_pairs]
    for (label, t), group in shared.groupby([by, "t"], dropna=False):
        row: dict[str, object] = {"step" if by == "step_a" else by: label, "t": t}
        for value, error in (("loss", "error"), ("rise", "rise_error")):
            row[value], row[f"{value}_low"], row[f"{value}_high"] = _mean(
                group, value, group[error], ("seed_a", "seed_b")
            )
        rows.append(row)
    return pd.DataFrame(rows)


def kl_over_training(behaviour: pd.DataFrame) -> pd.DataFrame:
    """Mean KL between the predictions of two seeds at each step, of each subset of the predictions.

    Args:
        behaviour: Rows of the table ``behaviour``.

    Returns:
        ``subset, step, value, error, low, high, pairs``, in nats: the mean over pairs, its standard error over
        examples, and its 95 % interval over seeds, which is nan with fewer than five.
    """
    if behaviour.empty:
        return pd.DataFrame()
    rows = behaviour[(behaviour["metric"] == "kl") & (behaviour["between"] == "seed") & behaviour["step_a"].notna()]
    out = []
    for (subset, step), group in rows.groupby(["subset", "step_a"], sort=False):
        mean, low, high = _mean(group, "value", group["error"], ("seed_a", "seed_b"))
        out.append({"subset": subset, "step": step, "value": mean, "error": float(group["error"].mean()),
                    "low": low, "high": high, "pairs": len(group)})  # fmt: skip
    return pd.DataFrame(out).sort_values("step", kind="stable") if out else pd.DataFrame()


def straight(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows on straight lines between checkpoints that are not aligned."""
    return rows[(rows["path"] == LINE) & (rows["align"] == RAW)]


def alignments(barriers: pd.DataFrame) -> pd.DataFrame:
    """The rows on straight lines of pairs that were aligned: raw, aligned, and the random control.

    Args:
        barriers: Rows of the table ``barrier``, for one definition.

    Returns:
        The rows, with the column ``how``: the way to align, with its symmetry group if there are several.
    """
    rows = barriers[barriers["path"] == LINE]
    pairs = rows.loc[rows["align"] != RAW, ["a", "b", "between"]].drop_duplicates()
    rows = rows.merge(pairs, on=["a", "b", "between"])
    if rows.empty:
        return rows.assign(how="")
    several = rows.loc[rows["align"] != RAW, ["symmetry_group", "groups"]].drop_duplicates()
    names = [
        how if how == RAW or len(several) == 1 else f"{how} ({symmetry_group}{'' if groups == '*' else f', {groups}'})"
        for how, symmetry_group, groups in zip(rows["align"], rows["symmetry_group"], rows["groups"], strict=True)
    ]
    return rows.assign(how=names)


def by_symmetry(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean barrier over the pairs for each way to align, at each step.

    Args:
        rows: From :func:`alignments`.

    Returns:
        ``between, step, how, barrier, low, high, pairs, best, worst``, in units of the barriers; the interval is like
        that of :func:`barrier_over_training`, over checkpoints.
    """
    out = []
    for (between, step, how), group in rows.groupby(["between", "step_a", "how"], dropna=False, sort=False):
        half = (group["high"] - group["low"]) / (2 * Z)
        mean, low, high = _mean(group, "barrier", half, ("a", "b"))
        out.append({"between": between, "step": step, "how": how, "barrier": mean, "low": max(low, 0.0), "high": high,
                    **_range(group)})  # fmt: skip
    return pd.DataFrame(out)


def curves(barriers: pd.DataFrame) -> pd.DataFrame:
    """The rows of pairs for which a curve was learned: curves, their controls, and straight lines.

    Args:
        barriers: Rows of the table ``barrier``, for one definition, or of the table ``profile``.
    """
    pairs = barriers.loc[barriers["path"].isin(CURVES), ["a", "b", "align"]].drop_duplicates()
    return barriers[barriers["path"].isin({LINE, CONTROL, *CURVES})].merge(pairs, on=["a", "b", "align"])


def by_path(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean barrier and mean loss increases over the pairs, for each path.

    Args:
        rows: From :func:`curves`.

    Returns:
        ``path, pairs, best, worst``, and the means ``barrier``, ``loss_increase`` and ``mean_loss_increase``, each with
        the ends ``_low`` and ``_high`` of its 95 % interval, in units of the losses.
    """
    out = []
    for path, group in rows.groupby("path"):
        row: dict[str, object] = {"path": path, **_range(group)}
        barrier, low, high = _mean(group, "barrier", (group["high"] - group["low"]) / (2 * Z), ("a", "b"))
        row |= {"barrier": barrier, "barrier_low": max(low, 0.0), "barrier_high": high}
        for value in ("loss_increase", "mean_loss_increase"):
            row[value], row[f"{value}_low"], row[f"{value}_high"] = _mean(
                group, value, group[f"{value}_error"], ("a", "b")
            )
        out.append(row)
    return pd.DataFrame(out)


def _means(barriers: pd.DataFrame, by: str, unit: str) -> pd.DataFrame:
    rows = []
    for label, group in barriers.groupby(by, dropna=False):
        names = "seed" if group["seed_a"].nunique() > 1 else unit
        half = (group["high"] - group["low"]) / (2 * Z)
        mean, low, high = _mean(group, "barrier", half, (f"{names}_a", f"{names}_b"))
        rows.append({by: label, "barrier": mean, "low": max(low, 0.0), "high": high, **_range(group)})
    return pd.DataFrame(rows)


def _range(group: pd.DataFrame) -> dict[str, int | float]:
    """Number of pairs, and the smallest and the largest barrier."""
    return {"pairs": len(group), "best": float(group["barrier"].min()), "worst": float(group["barrier"].max())}


def _mean(group: pd.DataFrame, value: Hashable, error: pd.Series, units: tuple[str, str]) -> tuple[float, float, float]:
    """Mean over pairs with its 95 % interval; two columns name the units of each pair."""
    ends = np.concatenate([group[unit].to_numpy(dtype=object) for unit in units])
    a, b = pd.factorize(ends)[0].reshape(2, -1)
    return mean_over_units(group[value].to_numpy(dtype=float), error.to_numpy(dtype=float), a, b)
