"""``landscape export``."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from landscape import rows as rows_of
from landscape.cli.progress import console
from landscape.errors import InputError, StorageError
from landscape.files import replacing
from landscape.study.store import Store

KEPT_BACK = ("curvature", "chain")
"""Tables that others are made of."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a formula begins with in a spreadsheet."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--format", "kind", default="csv", show_default=True, type=click.Choice(["csv", "parquet", "netcdf"]))
def command(folder: Path, kind: str) -> None:
    """All rows of FOLDER, a file for each table, in FOLDER/export.

    In CSV, a text that a spreadsheet would take for a formula stands after a single quote.
    """
    store = Store(folder / "results")
    found = store.tables(task["key"] for task in store.record()["tasks"])
    written = []
    for table in rows_of.TABLES:
        if table not in found or table in KEPT_BACK:
            continue
        rows = found[table]
        file = folder / "export" / f"{table}.{'nc' if kind == 'netcdf' else kind}"
        try:
            with replacing(file) as part:
                _write(rows, Path(part.name), kind)
        except OSError as error:
            raise StorageError(f"cannot write {file}: {error.strerror or error}; make room and export again") from error
        written.append(f"{file} ({len(rows)} rows)")
    if not written:
        raise InputError(f"nothing is finished in {store.folder}; run the study first")
    console.print("Wrote " + ", ".join(written), markup=False)


def _write(rows: pd.DataFrame, file: Path, kind: str) -> None:
    match kind:
        case "csv":
            texts = rows.select_dtypes(exclude="number")
            rows.assign(**texts.map(_no_formula)).to_csv(file, index=False)
        case "parquet":
            rows.to_parquet(file, index=False)
        case _:
            _write_netcdf(rows, file)


def _no_formula(value: object) -> object:
    """A text that a spreadsheet would compute, after the quote that makes it a text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _write_netcdf(rows: pd.DataFrame, file: Path) -> None:
    """Every column along one dimension ``row``; missing integers become nan, missing texts empty."""
    try:
        import xarray
    except ModuleNotFoundError as error:
        raise InputError("netcdf needs xarray: pip install 'landscape-toolkit[netcdf]'") from error
    numbers = {name: column.astype(float) for name, column in rows.items() if pd.api.types.is_numeric_dtype(column)}
    texts = {name: column.fillna("").astype(str).astype(object) for name, column in rows.items() if name not in numbers}
    frame = pd.DataFrame({name: {**numbers, **texts}[name] for name in rows.columns}).rename_axis("row")
    xarray.Dataset.from_dataframe(frame).to_netcdf(file, engine="scipy")
