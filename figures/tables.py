"""The tables of a report, as texts of cells."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a formula begins with in a spreadsheet."""
HYPOTHESES = {
    "seed": "the seed hypothesis: a seed whose connectivity is early changes its behaviour early",
    "population": "the population hypothesis: one comes before the other on average (weak evidence)",
}
NOT_SHOWN = "cannot be shown"
"""What the verdict on a test begins with that the design has no power for."""
TESTS = (
    "connectivity / behaviour", "test", "effect, 95 % interval", "without outlier runs", "p", "q", "p, family",
    "smallest p", "power", "verdict",
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table that a page folds.

    Attributes:
        title: What it lists.
        columns: Names of its columns.
        rows: Texts of its cells.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def tests(rows: pd.DataFrame) -> list[Table]:
    """The tests of each hypothesis, the primary one first, then by p value; those without power in tables of their own.

    Args:
        rows: The frame ``association``.
    """
    if rows.empty:
        return []
    ranked = rows.sort_values(["primary", "p"], ascending=[False, True], kind="stable")
    powerless = ranked["verdict"].str.startswith(NOT_SHOWN)
    out = []
    for hypothesis, what in HYPOTHESES.items():
        own = ranked["hypothesis"] == hypothesis
        for part, more in ((ranked[own & ~powerless], ""), (ranked[own & powerless], _why(ranked[powerless]))):
            if len(part):
                title = f"{len(part)} {'tests' if len(part) > 1 else 'test'} of {what}{more}"
                out.append(Table(title, TESTS, [_test(row) for row in part.to_dict("records")]))
    return out


def _why(rows: pd.DataFrame) -> str:
    return f"; {rows['verdict'].iloc[0]}" if len(rows) else ""


def _test(row: dict[str, object]) -> list[str]:
    def number(name: str, form: str = ".2g") -> str:
        return "" if pd.isna(row[name]) else format(row[name], form)

    interval = "" if pd.isna(row["low"]) else f" [{row['low']:.3g}, {row['high']:.3g}]"
    return [
        f"{row['connectivity']} / {row['behaviour']}" + (" (unreliable)" if row["unreliable"] else ""),
        f"{row['test']}" + (" (primary)" if row["primary"] else ""),
        number("effect", "+.3g") + interval,
        "" if pd.isna(row["p_without"]) else f"{row['effect_without']:+.3g}, p {row['p_without']:.2g}",
        *(number(name) for name in ("p", "q", "p_family", "p_floor", "power")),
        str(row["verdict"]),
    ]  # fmt: skip


def means(title: str, rows: pd.DataFrame) -> Table | None:
    """A table of means; none if there are none.

    Args:
        title: What they are means of.
        rows: The means.
    """
    if rows.empty:
        return None
    exact = rows.dropna(axis=1, how="all").round(4).astype(object)  # checkpoints may have no step
    cells = [[_cell(v) for v in row] for row in exact.itertuples(index=False)]
    return Table(title, list(exact.columns), cells)


def _cell(value: object) -> str:
    return "" if pd.isna(value) else f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def csv(rows: pd.DataFrame) -> str:
    """Rows as CSV; a text that a spreadsheet would take for a formula stands after a single quote.

    Args:
        rows: The rows.
    """
    texts = rows.select_dtypes(exclude=["number", "bool", "boolean"])
    safe = {
        name: [f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for v in column]
        for name, column in texts.items()
    }
    return str(rows.assign(**{str(name): cells for name, cells in safe.items()}).to_csv(index=False))


def packed(text: str) -> str:
    """A text as base64 of its gzip, which a browser unpacks.

    Args:
        text: The text.
    """
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
