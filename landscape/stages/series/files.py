"""Series that others measured, read from files. An error names the line of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from landscape.errors import InputError
from landscape.stages.events.staging import EVERYONE
from landscape.stages.series.axis import of
from landscape.stages.series.observed import (
    BARRIER,
    DEFAULTS,
    OPTIONAL,
    PAIRS,
    SERIES,
    Observed,
    empty,
    to_others,
    typed,
)

LARGEST_VALUE = 1e150
"""Largest absolute value that is accepted; squares of larger ones overflow."""
SEED_COLUMNS = ("seed", "seed_a", "seed_b")
MISSING = ["", "nan", "NaN", "NA", "N/A", "null"]
"""Texts that mean a missing number. They are valid names of seeds and series."""
NOT_IN_FILES = {"shared_error": np.nan, **DEFAULTS}
"""Columns that files do not have, and their values."""


def read(series: Path | None, pairs: Path | None = None) -> Observed:
    """What :func:`landscape.stages.series.observed.from_tables` returns, read from CSV or ``.parquet``.

    Args:
        series: Columns ``series, seed, step, value``, and optionally ``error``, the standard error, independent from
            step to step, in units of the value.
        pairs: Columns ``series, seed_a, seed_b, step, value``, and optionally ``error``.

    Raises:
        InputError: If a file cannot be read, lacks a column, or has an invalid value.
    """
    of_seeds = empty((*SERIES, *OPTIONAL)) if series is None else _table(series, SERIES).assign(**NOT_IN_FILES)
    of_pairs = empty(PAIRS) if pairs is None else _pairs(pairs)
    means = to_others(of_pairs[of_pairs["series"].str.startswith(BARRIER)]) if len(of_pairs) else of_pairs
    known = set(of_seeds["series"])
    missing = [name for name in means.get("series", pd.Series(dtype=str)).unique() if name not in known]
    if missing:
        more = means[means["series"].isin(missing)].assign(**NOT_IN_FILES)
        of_seeds = pd.concat([part for part in (of_seeds, more) if len(part)])
    steps = np.concatenate([frame["step"].to_numpy(dtype=float) for frame in (of_seeds, of_pairs) if len(frame)])
    return Observed(typed(of_seeds.reset_index(drop=True)), typed(of_pairs), axis=of(steps))


def _pairs(file: Path) -> pd.DataFrame:
    frame = _table(file, PAIRS)
    _refuse(file, frame["seed_a"] == frame["seed_b"], "pairs a seed with itself; leave it out")
    ends = pd.DataFrame([sorted(pair, key=str) for pair in frame[["seed_a", "seed_b"]].itertuples(index=False)])
    again = pd.concat([frame[["series", "step"]], ends], axis=1).duplicated()
    _refuse(file, again, "repeats a pair in the opposite order; give each pair once")
    return frame


def _table(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    frame = _columns(file, _read(file), columns)
    names = [name for name in SEED_COLUMNS if name in frame]
    for name in ("series", *names):
        _refuse(file, frame[name].isna() | (frame[name].astype(str) == ""), f"has no {name}; fill it in")
    for name in ("step", "value", "error"):
        frame[name] = _numbers(file, frame[name])
    if (frame["step"] < 0).any() or (frame["error"] < 0).any():
        raise InputError(
            f"{file} has a step or an error below 0; give steps of the optimizer and standard errors, 0 or more"
        )
    if (frame[names].astype(str) == EVERYONE).to_numpy().any():
        raise InputError(f"{file}: the seed {EVERYONE!r} is reserved for the mean over seeds; rename it")
    frame["series"] = frame["series"].astype(str)
    keys = [name for name in columns if name not in {"value", "error"}]
    if (twice := frame.duplicated(keys)).any():
        row = frame[twice].iloc[0]
        raise InputError(f"{file} has two values of {', '.join(f'{k} {row[k]}' for k in keys)}; give one")
    return frame


def _columns(file: Path, frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """The required columns, and ``error``, which is nan if the file lacks it.

    Raises:
        InputError: If a column is missing, or there is no row.
    """
    if lacking := [name for name in columns if name not in frame and name != "error"]:
        present = ", ".join(repr(str(name)) for name in frame)
        raise InputError(
            f"{file} lacks the column {lacking[0]}; it needs {', '.join(columns[:-1])}, and may have error; "
            f"columns found: {present}; are they separated by commas?"
        )
    if frame.empty:
        raise InputError(f"{file} has columns but no rows; give a row for each value")
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
            f"cannot read {file} ({str(error).splitlines()[0]}); give CSV, or Parquet with the ending .parquet"
        ) from error


def _numbers(file: Path, values: pd.Series) -> pd.Series:
    """Finite numbers whose squares do not overflow; an error may be missing.

    Raises:
        InputError: With the first line that has no such number.
    """
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    wrong = ~np.isfinite(numbers) & ~(values.isna() & (values.name == "error"))
    if wrong.any():
        raise InputError(
            f"{file}: {values.name} in line {_line(wrong)} is {str(values[wrong].iloc[0])!r}; a finite number is wanted"
        )
    _refuse(file, numbers.abs() > LARGEST_VALUE, f"has a {values.name} beyond {LARGEST_VALUE:g}; use another unit")
    return numbers


def _refuse(file: Path, wrong: pd.Series, what: str) -> None:
    if wrong.any():
        raise InputError(f"{file}: line {_line(wrong)} {what}")


def _line(wrong: pd.Series) -> int:
    """The first wrong line of the file; the header is line 1."""
    return int(np.flatnonzero(wrong)[0]) + 2
