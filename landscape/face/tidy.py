"""Tables as other programs want them: one row a pair, or arrays with an axis for each label."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from landscape import catalogue, rows
from landscape.columns import LOSS_UNIT, Column
from landscape.errors import InputError
from landscape.shared_columns import BARRIER
from landscape.study.record import Record

if TYPE_CHECKING:
    from xarray import Dataset

WITH_DEFINITIONS = ("barrier", "metric_barrier")
"""Tables with a row for each definition of a barrier."""
OF_DEFINITION = tuple(c.name for c in BARRIER if not c.name.startswith("loss_"))
"""Columns that differ between the definitions of a barrier of one pair."""
AXES = ("seed_a", "seed_b", "seed", "step", "definition", "data", "t")
"""Columns that are an axis of an array wherever a table has them."""
MORE_AXES = (
    "align", "path", "start", "way", "component", "window", "line", "plane", "kind", "x", "y", "probe", "metric",
    "subset", "chain", "halved", "curve", "sampler", "moved", "weights", "checkpoints",
)  # fmt: skip
"""Columns that are an axis where the rows need it."""
MAX_EMPTY = 50
"""How many cells of an array a row may take, at most."""


def one_row_a_pair(barriers: pd.DataFrame, main: str = "chord") -> pd.DataFrame:
    """Barriers with a row for each pair, path and way to align, and the definitions as columns.

    Args:
        barriers: Rows of the table ``barrier`` or ``metric_barrier``: one for each definition.
        main: The definition whose columns keep their names; those of another end in its name.
    """
    shared = [name for name in barriers.columns if name not in {"definition", *OF_DEFINITION}]
    pair = barriers.groupby(shared, sort=False, dropna=False).ngroup()
    own = barriers["definition"] == main
    out = barriers[own].set_axis(pair[own])
    for name in dict.fromkeys(barriers["definition"]):
        here = barriers["definition"] == name
        if name != main:
            out = out.join(barriers[here].set_axis(pair[here])[list(OF_DEFINITION)].add_suffix(f"_{name}"))
    wanted = [name for name in out.columns if name in barriers.columns or out[name].notna().any()]
    return out[wanted].reset_index(drop=True)


def of_definition(barriers: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one definition.

    Args:
        barriers: Rows of the table ``barrier``.
        name: The definition.

    Raises:
        InputError: If there are none.
    """
    found = barriers[barriers["definition"] == name]
    if found.empty and not barriers.empty:
        raise InputError(f"no row has the definition {name}: the t grid of the study lacks what it needs")
    return found.reset_index(drop=True)


def arrays(table: str, frame: pd.DataFrame, record: Record) -> Iterator[tuple[str, int, Dataset]]:
    """A table as arrays: one data set for each way to pair, and for branches, since these have other axes.

    Args:
        table: Name of the table.
        frame: Its rows.
        record: The study, as it was run.

    Yields:
        The name of each, its number of rows, and the data set. Missing numbers are nan, missing texts empty.
    """
    parts = frame["between"].fillna("") if "between" in frame else pd.Series("", frame.index)
    if "branch_step" in frame:
        parts = parts.mask((parts == "") & frame["branch_step"].notna(), "branches")
    for part, own in frame.groupby(parts, sort=False):
        name = "_".join([table, *(word for word in str(part).split(",") if word)])
        yield name, len(own), _array(table, own.dropna(axis=1, how="all").reset_index(drop=True), record)


def _array(table: str, frame: pd.DataFrame, record: Record) -> Dataset:
    """Rows as arrays over the axes that tell them apart; over their number, where these would be mostly empty."""
    import xarray

    frame = _one_step(frame)
    labels = [c.name for c in rows.TABLES[table].columns if c.dtype == "label" or c.name in ("branch_step", "step")]
    free = [name for name in frame.columns if name not in {c.name for c in rows.TABLES[table].columns}
            and frame[name].dtype.kind not in "fb"]  # fmt: skip
    varying = [name for name in frame.columns if frame[name].nunique(dropna=False) > 1]
    axes = [name for name in AXES if name in frame]
    axes += [n for n in (*labels, *free, "step_a", "step_b") if n in varying and n not in axes and n in frame]
    for name in MORE_AXES:
        if frame.duplicated(axes).any() and name in varying and name not in axes:
            axes.append(name)
    size = int(np.prod([frame[name].nunique(dropna=False) for name in axes], dtype=float))
    gaps = any(frame[name].isna().any() and pd.api.types.is_numeric_dtype(frame[name]) for name in axes)
    flat = gaps or bool(frame.duplicated(axes).any()) or size > MAX_EMPTY * len(frame)
    plain = frame.assign(**{name: _plain(frame[name]) for name in frame.columns})
    constant = {n: plain[n].iloc[0] for n in frame if n not in axes and n not in varying and plain[n].dtype == object}
    plain = plain.drop(columns=list(constant))
    made = xarray.Dataset.from_dataframe(plain.rename_axis("row") if flat else plain.set_index(axes))
    for name in map(str, made.variables):
        made[name] = made[name].fillna("") if made[name].dtype == object else made[name]
    made = made.assign_coords({name: text for name, text in constant.items() if text != ""})
    return _described(made, table, frame, record)


def _one_step(frame: pd.DataFrame) -> pd.DataFrame:
    """The steps of a pair as one column, where both are at the same."""
    if "step_a" not in frame or not frame["step_a"].equals(frame["step_b"]):
        return frame
    return frame.rename(columns={"step_a": "step"}).drop(columns="step_b")


def _plain(column: pd.Series) -> pd.Series:
    """A column of numbers or of texts, as a file of arrays holds it; whole numbers without gaps stay whole."""
    if pd.api.types.is_bool_dtype(column):
        return column.astype("int8")
    if pd.api.types.is_numeric_dtype(column):
        whole = pd.api.types.is_integer_dtype(column) and column.notna().all()
        return column.astype("int64" if whole else float)
    return column.fillna("").astype(str).astype(object)


def _described(made: Dataset, table: str, frame: pd.DataFrame, record: Record) -> Dataset:
    """The data set with what each variable is, and where it is from.

    Args:
        made: The data set.
        table: Name of the table.
        frame: Its rows.
        record: The study, as it was run.
    """
    units = list(frame["unit"].dropna().unique()) if "unit" in frame else []
    known = {c.name: c for c in described(table)}
    for name in made.variables:
        if (column := known.get(str(name))) is not None:
            unit = str(units[0]) if column.unit == LOSS_UNIT and len(units) == 1 else column.unit
            made[name].attrs |= {"long_name": column.meaning, **({"units": unit} if unit else {})}
    made.attrs |= {
        "title": record["name"], "table": f"{table}: {rows.TABLES[table].meaning}",
        "source": " ".join(["landscape", *filter(None, [record["versions"].get("landscape-toolkit")])]),
        "versions": json.dumps(record["versions"]), "study": json.dumps(record["study"]),
        "warnings": json.dumps(record["warnings"]),
    }  # fmt: skip
    return made


def described(table: str) -> Sequence[Column]:
    """The columns of a table, with those of an array or a wide table that it lacks."""
    columns = rows.TABLES[table].columns
    names = {c.name: c for c in columns}
    more = [Column("step", "whole", names["step_a"].meaning, "steps")] if "step_a" in names else []
    if table in WITH_DEFINITIONS:
        more += [Column(f"{c.name}_{name}", c.dtype, f"{c.meaning}; {catalogue.DEFINITIONS[name].help}", c.unit)
                 for name in catalogue.DEFINITIONS for c in BARRIER if c.name in OF_DEFINITION]  # fmt: skip
    return (*columns, *more)
