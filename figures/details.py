"""What a page shows beside a figure: the curves of a pair, the seeds and dates of a series."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from landscape.figures.section import Detail, Line
from landscape.figures.style import even, label_words, run_words

MAX_POINTS = 40_000
"""Points of all curves of pairs that a page holds; of more, steps are left out evenly."""
MAX_TICKS = 8
Z = 1.96
T_AXIS = "t (from the first to the second checkpoint)"


def pairs(profiles: pd.DataFrame, barriers: pd.DataFrame) -> dict[str, Detail]:
    """The loss above the chord of each pair, a curve with its band for each step.

    Args:
        profiles: Rows of the table ``profile``.
        barriers: Rows of the table ``barrier`` of the pairs that are shown.
    """
    if profiles.empty:
        return {}
    known = {(row["a"], row["b"]) for row in barriers[["a", "b"]].to_dict("records")}
    rows = profiles[[pair in known for pair in zip(profiles["a"], profiles["b"], strict=True)]]
    if len(rows) > MAX_POINTS:
        steps = sorted(barriers["step_a"].dropna().unique().tolist())
        kept = steps[:: -(-len(rows) // MAX_POINTS)] + steps[-1:]
        rows = rows[rows["step_a"].isin(kept)]
    out = {}
    for key, part in rows.groupby(_key(rows), sort=False):
        first = part.iloc[0]
        lines = [
            _curve(f"step {int(step):,}" if pd.notna(step) else "", own.sort_values("t"))
            for step, own in part.groupby("step_a", dropna=False)
        ]
        names = " and ".join(_end(first, side) for side in "ab")
        out[str(key)] = Detail(names, T_AXIS, f"loss above the chord ({first['unit']})", lines, slider="step")
    return out


def pair_and_line(row: Mapping[Hashable, Any], details: Mapping[str, Detail]) -> tuple[str, int]:
    """Name of the detail of a pair, and the number of its curve at this step.

    Args:
        row: Row of the table ``barrier``.
        details: From :func:`pairs`.
    """
    key = str(_key(pd.DataFrame([row])).iloc[0])
    name = f"step {int(row['step_a']):,}" if pd.notna(row["step_a"]) else ""
    steps = [line.name for line in details[key].lines] if key in details else []
    return (key, steps.index(name)) if name in steps else ("", 0)


def said(row: Mapping[Hashable, Any]) -> str:
    """A pair and its barrier with the 95 % interval, in words.

    Args:
        row: Row of the table ``barrier``.
    """
    step = f", step {int(row['step_a']):,}" if pd.notna(row["step_a"]) else ""
    ends = f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{_end(row, 'a')} and {_end(row, 'b')}{step}: {row['barrier']:.3f}{ends}"


def series(values: pd.DataFrame, curve: pd.DataFrame, event: pd.DataFrame) -> dict[str, Detail]:
    """Each series: its seeds, its smoothed mean, and its dated events with their intervals.

    Args:
        values: ``series, seed, step, value``.
        curve: ``series, step, value, low, high``.
        event: ``series, seed, event, way, step, low, high, censored``.
    """
    out = {}
    for name in dict.fromkeys(curve["series"]):
        own, mean = values[values["series"] == name], curve[curve["series"] == name]
        steps = np.unique(own["step"].round().to_numpy(dtype=float))
        lines = [
            Line(run_words(seed), _places(run["step"], steps), run["value"].tolist())
            for seed, run in own.sort_values("step").groupby("seed")
        ]
        ends = [mean[side].tolist() if mean[side].notna().all() else [] for side in ("low", "high")]
        lines.append(Line("mean", _places(mean["step"], steps), mean["value"].tolist(), *ends))
        dates = [
            [str(row["seed"]), str(row["event"]).replace("_", "-"), str(row["way"]), *_date(row)]
            for row in event[event["series"] == name].to_dict("records")
        ]
        out[str(name)] = Detail(
            str(name), "training step", str(name), lines, _ticks(steps),
            columns=("seed", "event", "way", "step", "interval (90 %)"), rows=dates,
        )  # fmt: skip
    return out


def _curve(name: str, rows: pd.DataFrame) -> Line:
    rise, half = rows["rise"].to_numpy(float), Z * rows["rise_error"].fillna(0).to_numpy(float)
    return Line(name, rows["t"].tolist(), rise.tolist(), (rise - half).tolist(), (rise + half).tolist())


def _key(rows: pd.DataFrame) -> pd.Series:
    """Name of each pair, the same at all its steps."""
    ends = [_ends_of(rows, side) for side in "ab"]
    return rows["between"].astype(str) + ":" + ends[0] + "|" + ends[1]


def _ends_of(rows: pd.DataFrame, side: str) -> pd.Series:
    """The run of one end, by its labels; the reference where there is no seed."""
    known = [name for name in (f"seed_{side}", f"branch_{side}", "branch_step") if name in rows]
    every = zip(*(rows[name] for name in known), strict=True)
    labels = pd.Series(["/".join("" if pd.isna(v) else label_words(v) for v in values) for values in every], rows.index)
    return labels.where(rows[f"seed_{side}"].notna() & (rows["between"] == "seed"), rows[side])


def _end(row: Mapping[Hashable, Any] | pd.Series, side: str) -> str:
    seed = row[f"seed_{side}"]
    return run_words(seed) if pd.notna(seed) and row["between"] == "seed" else str(row[side])


def _date(row: Mapping[Hashable, Any]) -> tuple[str, str]:
    """Step and interval of an event, in words."""
    if row["censored"] != "no":
        return ("not before the end" if row["censored"] == "right" else "before the first checkpoint"), ""
    high = f"{row['high']:,.0f}" if np.isfinite(row["high"]) else "after the end"
    return f"{row['step']:,.1f}", f"{row['low']:,.0f} to {high}"


def _places(steps: pd.Series | np.ndarray, known: np.ndarray) -> list[float]:
    """Positions of steps on an axis as that of :func:`landscape.figures.style.step_axis`."""
    unit = float(known[known > 0].min()) if (known > 0).any() else 1.0
    if even(known):
        return [float(place) for place in np.asarray(steps, dtype=float) / unit]
    return [float(place) for place in np.log2(1 + np.asarray(steps, dtype=float) / unit)]


def _ticks(steps: np.ndarray) -> list[tuple[float, str]]:
    shown = steps[:: -(-len(steps) // MAX_TICKS)]
    return [(place, f"{step:,.0f}") for place, step in zip(_places(shown, steps), shown, strict=True)]
