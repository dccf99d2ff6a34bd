"""``landscape export``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pandas as pd

from landscape import catalogue
from landscape import rows as rows_of
from landscape.cli.progress import console
from landscape.errors import InputError, StorageError
from landscape.face import tidy
from landscape.figures.tables import csv
from landscape.files import replacing
from landscape.study.record import Record
from landscape.study.store import Store

if TYPE_CHECKING:
    from xarray import Dataset

KEPT_BACK = ("curvature", "chain")
"""Tables that others are made of."""
ENDINGS = {"csv": "csv", "parquet": "parquet", "netcdf": "nc"}
COLUMNS, ROWS = "columns", "rows"
"""How the definitions of a barrier are laid out."""
Write = Callable[[Path], object]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--format", "kind", default="csv", show_default=True, type=click.Choice(list(ENDINGS)))
@click.option(
    "--definition", default=COLUMNS, show_default=True, type=click.Choice([COLUMNS, ROWS, *catalogue.DEFINITIONS]),
    help="Definitions of a barrier: all, as columns of one row a pair or as rows of their own; or one of them. In "
    "netCDF they are a dimension.",
)  # fmt: skip
def command(folder: Path, kind: str, definition: str) -> None:
    """All rows of FOLDER, a file for each table, in FOLDER/export.

    Barriers have one row for each pair, path and way to align. With --format netcdf a table is an array with the
    dimensions seed_a, seed_b, step, t, definition, data and whatever else tells its rows apart, in one file for each
    way to pair; units, meanings and the study are attributes. `landscape columns TABLE` says what the columns are. In
    CSV, a text that a spreadsheet would take for a formula stands after a single quote.
    """
    store = Store(folder / "results")
    record = store.record()
    found = store.tables(task["key"] for task in record["tasks"])
    written = []
    for table in rows_of.TABLES:
        if table not in found or table in KEPT_BACK:
            continue
        for name, count, write in _files(table, found[table], kind, definition, record):
            file = folder / "export" / f"{name}.{ENDINGS[kind]}"
            try:
                with replacing(file) as part:
                    write(Path(part.name))
            except OSError as error:
                why = error.strerror or error
                raise StorageError(f"cannot write {file}: {why}; make room and export again") from error
            written.append(f"{file} ({count} rows)")
    if not written:
        raise InputError(f"nothing is finished in {store.folder}; run the study first")
    console.print("Wrote " + ", ".join(written), markup=False)


def _files(
    table: str, rows: pd.DataFrame, kind: str, definition: str, record: Record
) -> Iterator[tuple[str, int, Write]]:
    """Name and number of rows of each file of a table, and what writes it.

    Args:
        table: Name of the table.
        rows: Its rows.
        kind: Format.
        definition: Definition of a barrier, or how all of them are laid out.
        record: The study, as it was run.
    """
    if table in tidy.WITH_DEFINITIONS and definition in catalogue.DEFINITIONS:
        rows = tidy.of_definition(rows, definition)
    if kind == "netcdf":
        _require_xarray()
        for name, count, made in tidy.arrays(table, rows, record):
            yield name, count, partial(_write_netcdf, made)
        return
    if table in tidy.WITH_DEFINITIONS and definition == COLUMNS:
        rows = tidy.one_row_a_pair(rows)
    yield table, len(rows), partial(_write_csv, rows) if kind == "csv" else partial(rows.to_parquet, index=False)


def _require_xarray() -> None:
    """Refuse netCDF where nothing can write it.

    Raises:
        InputError: With what to install.
    """
    try:
        import xarray  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError("netcdf needs xarray: pip install 'landscape-toolkit[netcdf]'") from error


def _write_csv(rows: pd.DataFrame, file: Path) -> None:
    file.write_text(csv(rows))


def _write_netcdf(made: Dataset, file: Path) -> None:
    made.to_netcdf(file, engine="scipy")
