"""The input of the analysis: series over training, matrices of pairs, barriers of branches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd

from landscape.profile.barrier import matrix
from landscape.stages.series.axis import Axis, of

TABLES = ("loss", "llc", "probe", "barrier", "behaviour", "trajectory")
SERIES = ("series", "seed", "step", "value", "error")
OPTIONAL = ("shared_error", "headline", "chance", "reliable")
DEFAULTS: dict[str, bool | float] = {"headline": True, "chance": np.nan, "reliable": True}
"""Values of columns that only some tables have."""
PAIRS = ("series", "seed_a", "seed_b", "step", "value", "error")
BRANCH_STEPS = ("seed", "branch_step", "branch_a", "branch_b", "value", "error")
BARRIER, DISTANCE, LOSS, LLC = "barrier", "distance", "loss", "llc"
OF_SEEDS, TO_LAST, OF_BRANCHES = f"{BARRIER}:seed", f"{BARRIER}:last", f"{BARRIER}:branch"
SHARED = (OF_SEEDS,)
"""Series of a seed that are means over its pairs with the other seeds."""
Z = 1.959964
MAX_UNRELIABLE = 0.25
"""A series is unreliable if a larger share of its values is."""
MIN_SHARED_PAIRS = 2
"""Pairs with third seeds that two seeds need in common to be compared."""
LLC_SETTINGS = ["sampler", "moved", "mode", "n_beta", "localisation"]


def empty(columns: tuple[str, ...]) -> pd.DataFrame:
    """A frame with these columns and no rows."""
    return pd.DataFrame(columns=list(columns))


@dataclass(frozen=True)
class Observed:
    """Measurements over training.

    Attributes:
        series: ``series, seed, step, value, error, shared_error, headline, chance, reliable``. Names of series of
            connectivity begin with ``barrier``. ``chance`` is the score at chance level.
        pairs: ``series, seed_a, seed_b, step, value, error``: barriers, and distances of behaviour.
        branch_steps: ``seed, branch_step, branch_a, branch_b, value, error``: barriers between branches.
        unit: Unit of the barriers, such as ``nats per token``.
        axis: Axis of training.
    """

    series: pd.DataFrame = field(default_factory=lambda: empty((*SERIES, *OPTIONAL)))
    pairs: pd.DataFrame = field(default_factory=lambda: empty(PAIRS))
    branch_steps: pd.DataFrame = field(default_factory=lambda: empty(BRANCH_STEPS))
    unit: str = ""
    axis: Axis = field(default_factory=Axis)

    @property
    def unreliable(self) -> dict[str, tuple[int, int]]:
        """Unreliable series: counts of unreliable values and of all values. More than a quarter are unreliable."""
        if "reliable" not in self.series:
            return {}
        wrong = (~self.series["reliable"].astype(bool)).groupby(self.series["series"], sort=False).agg(["sum", "size"])
        return {str(name): (int(row["sum"]), int(row["size"])) for name, row in wrong.iterrows()
                if row["sum"] > MAX_UNRELIABLE * row["size"]}  # fmt: skip


def from_tables(tables: Mapping[str, pd.DataFrame]) -> Observed:
    """Series of the tables ``loss, llc, probe, barrier, behaviour, trajectory``, for one definition of the barrier.

    - ``barrier:seed``: mean barrier from a seed to the other seeds at the same step.
    - ``barrier:last``: barrier from a step to the last step of the same seed.
    - ``barrier:neighbours``: barrier from a step to the next one, dated at the middle of the two.
    - ``barrier:branch``: mean barrier between branches, by the step they were spawned at.
    - ``trajectory:window:gain_over_mean`` and its like: what is read off lines and windows that end at a step.

    ``error`` is the part of the error that is independent from step to step: that of the chains of coefficients. Loss,
    probes and barriers use the same examples at every step. Their errors are in ``shared_error`` and do not change
    when an event happens.

    Args:
        tables: Rows by the name of the table; a missing table is empty.
    """
    get = {name: tables.get(name, pd.DataFrame()) for name in TABLES}
    barriers = _lines(get["barrier"])
    axis = _axis(get)
    parts = [
        _own(get["loss"], LOSS, LOSS),
        _coefficients(get["llc"]),
        _probes(get["probe"]),
        _trajectory(get["trajectory"]),
        *(_within(barriers, between, axis) for between in ("last", "neighbours")),
    ]
    pairs = pd.concat([_between_seeds(barriers, OF_SEEDS, "value"), _distances(get["behaviour"])])
    branch_steps = _branches(barriers)
    parts += [to_others(pairs[pairs["series"] == OF_SEEDS]), _by_branch_step(branch_steps)]
    parts = [part if part.empty or _is_llc(part) else part.assign(shared_error=part["error"], error=np.nan)
             for part in parts]  # fmt: skip
    known = [
        part.assign(**{name: part.get(name, default) for name, default in DEFAULTS.items()})
        for part in parts if len(part)
    ]  # fmt: skip
    series = pd.concat(known, ignore_index=True) if known else empty((*SERIES, *OPTIONAL))
    unit = "" if get["barrier"].empty else str(get["barrier"]["unit"].iloc[0])
    return Observed(typed(series), typed(pairs), typed(branch_steps), unit, axis)


def _axis(tables: Mapping[str, pd.DataFrame]) -> Axis:
    """The axis of the checkpoints of all tables."""
    steps = [table[name] for table in tables.values() for name in ("step", "step_a", "step_b") if name in table]
    return of(np.concatenate([np.asarray(one.dropna(), dtype=float) for one in steps]) if steps else np.empty(0))


def _lines(barriers: pd.DataFrame) -> pd.DataFrame:
    """Barriers on straight lines between checkpoints that were not aligned, with value and standard error."""
    if barriers.empty:
        return barriers
    rows = barriers[(barriers["path"] == "linear") & (barriers["align"] == "none")]
    return rows.assign(value=rows["barrier"], error=(rows["high"] - rows["low"]) / (2 * Z))


def _own(rows: pd.DataFrame, name: str, column: str) -> pd.DataFrame:
    """A series from a column of rows of checkpoints; branches are left out."""
    if rows.empty:
        return rows
    rows = rows[rows["branch_step"].isna() & rows["step"].notna() & rows["seed"].notna()]
    return pd.DataFrame({
        "series": name, "seed": rows["seed"], "step": rows["step"], "value": rows[column], "error": rows["error"],
        "chance": rows.get("chance", np.nan), "reliable": rows.get("reliable", True),
    })  # fmt: skip


def _coefficients(rows: pd.DataFrame) -> pd.DataFrame:
    """``llc`` is the first setting of the estimator in the study; names of others have what moved and a number."""
    if rows.empty:
        return rows
    groups = [part for _, part in rows.groupby(LLC_SETTINGS, sort=False, dropna=False)]
    names = [LLC, *(f"{LLC}:{part['moved'].iloc[0]}:{n}" for n, part in enumerate(groups[1:], start=2))]
    return pd.concat([_own(part, name, LLC) for name, part in zip(names, groups, strict=True)])


def _is_llc(series: pd.DataFrame) -> bool:
    return str(series["series"].iloc[0]).startswith(LLC)


def _probes(rows: pd.DataFrame) -> pd.DataFrame:
    if rows.empty:
        return rows
    parts = []
    for (probe, metric, subset), part in rows.groupby(["probe", "metric", "subset"], sort=False, dropna=False):
        name = ":".join(str(word) for word in (probe, metric, subset) if pd.notna(word) and word != "")
        parts.append(_own(part, name, "value").assign(headline=bool(part["headline"].iloc[0])))
    return pd.concat(parts)


def _trajectory(rows: pd.DataFrame) -> pd.DataFrame:
    """Numbers of lines and windows, at their later step; only the gains of windows are headlines."""
    if rows.empty:
        return rows
    rows = rows[(rows["start"] == "checkpoint") & rows["value"].notna() & rows["branch_step"].isna()]
    rows = rows.assign(error=rows["high"].sub(rows["low"]) / (2 * Z), seed=rows["seed_b"], step=rows["step_b"])
    parts = []
    for (between, metric), part in rows.groupby(["between", "metric"], sort=False):
        own = _own(part, f"trajectory:{between}:{metric}", "value")
        parts.append(own.assign(headline=between == "window"))
    return pd.concat(parts) if parts else empty(SERIES)


def _within(barriers: pd.DataFrame, between: str, axis: Axis) -> pd.DataFrame:
    """Barriers within a run, at the earlier step; of neighbours at the middle of both steps on the axis of training."""
    if barriers.empty:
        return barriers
    rows = barriers[barriers["between"] == between]
    step = rows["step_a"].astype(float)
    if between == "neighbours":
        first, second = (axis.x(rows[name].to_numpy(dtype=float)) for name in ("step_a", "step_b"))
        step = pd.Series(axis.steps((first + second) / 2), rows.index)
    return pd.DataFrame({"series": f"{BARRIER}:{between}", "seed": rows["seed_a"], "step": step, "value": rows["value"],
                         "error": rows["error"]})  # fmt: skip


def _between_seeds(rows: pd.DataFrame, name: str, column: str) -> pd.DataFrame:
    if rows.empty:
        return empty(PAIRS)
    rows = rows[(rows["between"] == "seed") & rows["step_a"].notna()]
    return pd.DataFrame({
        "series": name, "seed_a": rows["seed_a"], "seed_b": rows["seed_b"], "step": rows["step_a"],
        "value": rows[column], "error": rows["error"],
    })  # fmt: skip


def _distances(rows: pd.DataFrame) -> pd.DataFrame:
    if rows.empty:
        return empty(PAIRS)
    groups = rows.assign(subset=rows.get("subset", "")).groupby(["probe", "metric", "subset"], sort=False)
    return pd.concat([
        _between_seeds(part, ":".join([DISTANCE, *(str(word) for word in words if word)]), "value")
        for words, part in groups
    ])


def _branches(barriers: pd.DataFrame) -> pd.DataFrame:
    if barriers.empty:
        return empty(BRANCH_STEPS)
    rows = barriers[barriers["between"] == "branch"]
    rows = rows[rows["step_a"] == rows.groupby(["seed_a", "branch_step"])["step_a"].transform("max")]
    return rows.rename(columns={"seed_a": "seed"})[list(BRANCH_STEPS)]


def _by_branch_step(branch_steps: pd.DataFrame) -> pd.DataFrame:
    if branch_steps.empty:
        return branch_steps
    means = branch_steps.groupby(["seed", "branch_step"], as_index=False)[["value", "error"]].mean()
    return means.rename(columns={"branch_step": "step"}).assign(series=OF_BRANCHES)


def to_others(pairs: pd.DataFrame) -> pd.DataFrame:
    """Mean over the pairs of each seed. The error is the mean of their errors, since pairs share their examples.

    A missing pair is imputed, so that the means of all seeds are over the same partners. The value comes from the seed
    whose barriers differ most evenly from those of an end of the pair.
    """
    if pairs.empty:
        return pairs
    complete = pd.concat([_imputed(rows) for _, rows in pairs.groupby(["series", "step"], sort=False)])
    swapped = complete.rename(columns={"seed_a": "seed_b", "seed_b": "seed_a"})
    both = pd.concat([complete, swapped]).rename(columns={"seed_a": "seed"})
    return both.groupby(["series", "seed", "step"], as_index=False)[["value", "error"]].mean()


def _imputed(rows: pd.DataFrame) -> pd.DataFrame:
    """The pairs of one step, with imputed values of missing pairs where other seeds allow it."""
    seeds = sorted({*rows["seed_a"], *rows["seed_b"]}, key=str)
    index = {seed: n for n, seed in enumerate(seeds)}
    a, b = (rows[name].map(index).to_numpy(dtype=int) for name in ("seed_a", "seed_b"))
    known = matrix(a, b, rows["value"].to_numpy(dtype=float), len(seeds))
    np.fill_diagonal(known, np.nan)
    more = []
    for i, j in combinations(range(len(seeds)), 2):
        guesses = [guess for guess in (_guess(known, i, j), _guess(known, j, i)) if np.isfinite(guess)]
        if np.isnan(known[i, j]) and guesses:
            more.append({"seed_a": seeds[i], "seed_b": seeds[j], "value": float(np.mean(guesses))})
    if not more:
        return rows
    own = {"series": rows["series"].iloc[0], "step": rows["step"].iloc[0], "error": rows["error"].astype(float).mean()}
    return pd.concat([rows, pd.DataFrame(more).assign(**own)])


def _guess(known: np.ndarray, i: int, j: int) -> float:
    """Value of the pair (i, j), from the seed whose values with third seeds differ most evenly from those of i."""
    apart = known[i] - known
    apart[:, [i, j]] = np.nan
    counts = np.isfinite(apart).sum(axis=1)
    usable = np.flatnonzero((counts >= MIN_SHARED_PAIRS) & np.isfinite(known[:, j]))
    if not len(usable):
        return float("nan")
    k = usable[np.argmin(np.nanstd(apart[usable], axis=1))]
    return float(known[k, j] + np.nanmean(apart[k]))


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a new index and with numbers as floats."""
    names = ("step", "value", "error", "shared_error", "branch_step", "chance")
    numbers = {name: float for name in names if name in frame}
    return frame.reset_index(drop=True).astype(numbers)
