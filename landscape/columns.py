"""What a column and a table of results are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Dtype = Literal["text", "whole", "number", "flag", "label"]
"""``label`` is a whole number or a word."""
LOSS_UNIT = "unit of the loss"
OF_METRIC = "unit of the metric"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        dtype: What its cells are.
        meaning: What they say.
        unit: Of a number; ``1`` for what has none.
        optional: Whether a cell may be missing.
    """

    name: str
    dtype: Dtype
    meaning: str
    unit: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """A table of results.

    Attributes:
        name: Its name.
        meaning: What a row is about.
        columns: Its columns.
        labels: Suffixes of the columns of labels: ``""`` for one checkpoint, ``_a`` and ``_b`` for a pair.
        metrics: Whether further numbers are metrics of the objective.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    labels: tuple[str, ...] = ()
    metrics: bool = False


def text(name: str, meaning: str, *, optional: bool = False) -> Column:
    """A column of texts.

    Args:
        name: Its name.
        meaning: What its cells say.
        optional: Whether a cell may be missing.
    """
    return Column(name, "text", meaning, optional=optional)


def whole(name: str, meaning: str, unit: str = "count", *, optional: bool = False) -> Column:
    """A column of whole numbers.

    Args:
        name: Its name.
        meaning: What its cells say.
        unit: Of a number; ``1`` for what has none.
        optional: Whether a cell may be missing.
    """
    return Column(name, "whole", meaning, unit, optional=optional)


def number(name: str, meaning: str, unit: str = LOSS_UNIT, *, optional: bool = False) -> Column:
    """A column of numbers.

    Args:
        name: Its name.
        meaning: What its cells say.
        unit: Of a number; ``1`` for what has none.
        optional: Whether a cell may be missing.
    """
    return Column(name, "number", meaning, unit, optional=optional)


def flag(name: str, meaning: str, *, optional: bool = False) -> Column:
    """A column of truth values.

    Args:
        name: Its name.
        meaning: What its cells say.
        optional: Whether a cell may be missing.
    """
    return Column(name, "flag", meaning, optional=optional)


def label(name: str, meaning: str) -> Column:
    """A column of labels."""
    return Column(name, "label", meaning, optional=True)


def error_of(column: Column) -> Column:
    """The column of the standard error of another, over examples."""
    return replace(column, name=f"{column.name}_error", meaning=f"standard error over examples of {column.name}")


def with_errors(*columns: Column) -> tuple[Column, ...]:
    """Columns, each followed by that of its standard error."""
    return tuple(one for column in columns for one in (column, error_of(column)))
