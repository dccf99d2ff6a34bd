"""Other people's series, read from files: what is wrong with a file is said with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from landscape.errors import InputError
from landscape.stages.events.staging import EVERYONE
from landscape.stages.series.axis import of
from landscape.stages.series.observed import BARRIER, DEFAULTS, MORE, PAIRS, SERIES, Observed, empty, to_others, typed

LARGEST = 1e150
"""Absolute value above which squares overflow."""
SEEDS = ("seed", "seed_a", "seed_b")
MISSING = ["", "nan", "NaN", "NA", "N/A", "null"]
"""Numbers that are not there; seeds and series may be called so."""
UNKNOWN = {"shared_error": np.nan, **DEFAULTS}
"""What a file does not say of its values."""


def read(series: Path | None, pairs: Path | None = None) -> Observed:
    """The same as :func:`landscape.stages.series.observed.from_tables` gives, from CSV or ``.parquet``.

    Args:
        series: Columns ``series, seed, step, value``, and ``error``, the standard error that is independent from step
            to step, if it is known.
        pairs: Columns ``series, seed_a, seed_b, step, value``, and ``error``.

    Raises:
        InputError: If a file cannot be read, lacks a column, or has a value that is not what is wanted.
    """
    found = empty((*SERIES, *MORE)) if series is None else _table(series, SERIES).assign(**UNKNOWN)
    both = empty(PAIRS) if pairs is None else _pairs(pairs)
    own = to_others(both[both["series"].str.startswith(BARRIER)]) if len(both) else both
    missing = [name for name in own.get("series", pd.Series(dtype=str)).unique() if name not in set(found["series"])]
    if missing:
        found = pd.concat([part for part in (found, own[own["series"].isin(missing)].assign(**UNKNOWN)) if len(part)])
    steps = np.concatenate([frame["step"].to_numpy(dtype=float) for frame in (found, both) if len(frame)])
    return Observed(typed(found.reset_index(drop=True)), typed(both), axis=of(steps))


def _pairs(file: Path) -> pd.DataFrame:
    frame = _table(file, PAIRS)
    _refuse(file, frame["seed_a"] == frame["seed_b"], "pairs a seed with itself; leave it out")
    ends = pd.DataFrame([sorted(pair, key=str) for pair in frame[["seed_a", "seed_b"]].itertuples(index=False)])
    again = pd.concat([frame[["series", "step"]], ends], axis=1).duplicated()
    _refuse(file, again, "gives a pair a second time, the other way round; give each pair once")
    return frame


def _table(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    frame = _columns(file, _read(file), columns)
    names = [name for name in SEEDS if name in frame]
    for name in ("series", *names):
        _refuse(file, frame[name].isna() | (frame[name].astype(str) == ""), f"has no {name}; fill it in")
    for name in ("step", "value", "error"):
        frame[name] = _numbers(file, frame[name])
    if (frame["step"] < 0).any() or (frame["error"] < 0).any():
        raise InputError(
            f"{file} has a step or an error below 0; steps of the optimizer and standard errors are wanted"
        )
    if (frame[names].astype(str) == EVERYONE).to_numpy().any():
        raise InputError(f"{file}: the seed {EVERYONE!r} is kept for the mean over seeds; call it something else")
    frame["series"] = frame["series"].astype(str)
    keys = [name for name in columns if name not in {"value", "error"}]
    if (twice := frame.duplicated(keys)).any():
        row = frame[twice].iloc[0]
        raise InputError(f"{file} has two values of {', '.join(f'{k} {row[k]}' for k in keys)}; give one")
    return frame


def _columns(file: Path, frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """The wanted columns; an error that is not given is nan.

    Raises:
        InputError: If there is no such column, or no row.
    """
    if lacking := [name for name in columns if name not in frame and name != "error"]:
        found = ", ".join(repr(str(name)) for name in frame)
        raise InputError(
            f"{file} lacks the column {lacking[0]}; it needs {', '.join(columns[:-1])}, and may have error; "
            f"columns found: {found}; are they separated by commas?"
        )
    if frame.empty:
        raise InputError(f"{file} has columns and no rows; give a row for each value")
    return frame.reindex(columns=list(columns))


def _read(file: Path) -> pd.DataFrame:
    if not file.exists():
        raise InputError(f"there is no file or folder {file}")
    try:
        return (
            pd.read_parquet(file)
            if file.suffix == ".parquet"
            else pd.read_csv(file, keep_default_na=False, na_values=dict.fromkeys(("step", "value", "error"), MISSING))
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read {file} ({str(error).splitlines()[0]}); give CSV, or Parquet called .parquet"
        ) from error


def _numbers(file: Path, values: pd.Series) -> pd.Series:
    """Finite numbers that can be squared; an error may be missing.

    Raises:
        InputError: With the first line that has none.
    """
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    wrong = ~np.isfinite(numbers) & ~(values.isna() & (values.name == "error"))
    if wrong.any():
        given = str(values[wrong].iloc[0])
        raise InputError(f"{file}: {values.name} in line {_line(wrong)} is {given!r}; a finite number is wanted")
    _refuse(file, numbers.abs() > LARGEST, f"has a {values.name} beyond {LARGEST:g}; take another unit")
    return numbers


def _refuse(file: Path, wrong: pd.Series, what: str) -> None:
    if wrong.any():
        raise InputError(f"{file}: line {_line(wrong)} {what}")


def _line(wrong: pd.Series) -> int:
    """The first line of the file that is wrong, the header being line 1."""
    return int(np.flatnonzero(wrong)[0]) + 2
