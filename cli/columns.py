"""``landscape columns``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from landscape import rows
from landscape.columns import Column
from landscape.errors import InputError, did_you_mean

WIDE = 200
"""Width of a line where the output is no terminal."""


@click.command()
@click.argument("table", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each column.")
def command(table: str | None, as_json: bool) -> None:
    """What the columns of TABLE say, with their type and unit; without TABLE, which tables there are."""
    if table is not None and table not in rows.TABLES:
        raise InputError(
            f"no table is called {table!r}{did_you_mean(table, rows.TABLES)}; there are {', '.join(rows.TABLES)}"
        )
    chosen = [rows.TABLES[table]] if table else list(rows.TABLES.values())
    if as_json:
        for one in chosen:
            for column in one.columns:
                click.echo(json.dumps({"table": one.name, **asdict(column)}))
    elif table:
        _show(chosen[0].columns, f"{table}: one row is {chosen[0].meaning}", metrics=chosen[0].metrics)
    else:
        for one in chosen:
            click.echo(f"{one.name:12} {one.meaning}")


def _show(columns: tuple[Column, ...], title: str, *, metrics: bool) -> None:
    """The columns as a table on stdout."""
    also = " Further numbers are metrics of the objective, each with its error." if metrics else ""
    made = Table(title=title, caption=f"°: may be missing.{also}", box=None, title_justify="left", pad_edge=False)
    for name in ("column", "type", "unit", "meaning"):
        made.add_column(name, overflow="fold")
    for column in columns:
        mark = "°" if column.optional else ""
        made.add_row(f"{column.name}{mark}", column.dtype, column.unit, column.meaning)
    out = Console(emoji=False, highlight=False)
    (out if out.is_terminal else Console(emoji=False, highlight=False, width=WIDE)).print(made)
