"""``landscape stages``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd
from pydantic import ValidationError

from landscape.cli.options import DEFINITIONS, Number
from landscape.cli.progress import console
from landscape.errors import InputError, StorageError
from landscape.files import replacing
from landscape.spec import MOST_PERMUTATIONS
from landscape.stages.settings import Stages
from landscape.study.file import mistakes, read_study
from landscape.study.store import Store

if TYPE_CHECKING:
    from landscape.stages import Findings

TABLES = {"loss": "losses", "llc": "llc", "probe": "probes", "barrier": "barriers", "behaviour": "behaviour"}
"""Tables that series are made of, and the kind of task that each comes from."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pairs", type=click.Path(path_type=Path, dir_okay=False),
              help="Beside a file of series, one of pairs: series, seed_a, seed_b, step, value.")  # fmt: skip
@click.option("--definition", default="chord", show_default=True, type=click.Choice(DEFINITIONS))
@click.option("--connectivity", multiple=True, help="Series of connectivity, with *.  [default: barrier*]")
@click.option("--behaviour", multiple=True, help="Series beside, with *.  [default: headlines of probes, llc]")
@click.option("--boundaries", help="Series whose extrema and plateaus bound the stages.  [default: llc, or loss]")
@click.option(
    "--engine",
    type=click.Choice(["curve", "breaks", "states"]),
    help="What bounds the stages: extrema and plateaus, breaks of slope, states of all series.  [default: curve]",
)
@click.option("--threshold", type=Number(0, min_open=True), help="Barrier below which two are connected.")
@click.option("--floor", type=Number(0), help="Change of a barrier that never counts.  [default: 0.01 nats]")
@click.option("--least-change", type=Number(0), help="Least height of an extremum that bounds stages.  [default: 0]")
@click.option("--permutations", type=click.IntRange(99, MOST_PERMUTATIONS),
              help="Orders of the seeds, above seven.  [default: 9999]")  # fmt: skip
@click.option("--format", "kind", default="csv", show_default=True, type=click.Choice(["csv", "parquet"]))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each row of the tables.")
def command(folder: Path, pairs: Path | None, definition: str, kind: str, as_json: bool, **given: Any) -> None:
    """Events, stages, and whether connectivity goes with behaviour, from the results in FOLDER.

    FOLDER may also be a file of other people's series, CSV or Parquet with the columns series, seed, step, value and
    perhaps error; series of connectivity are called barrier... there. Tables go to FOLDER/stages, those of a file
    mine.csv to mine_stages beside it.
    """
    from landscape.stages import TABLES as FRAMES
    from landscape.stages.findings.sentences import sentences

    settings = {name: value for name, value in given.items() if value not in (None, ())}
    findings, out = _found(folder, pairs, definition, settings)
    if findings.event.empty:
        raise InputError(
            "; ".join(findings.notes) or "no series over training was found: stages need checkpoints at steps"
        )
    for name in FRAMES:
        write(getattr(findings, name), out / f"{name}.{kind}")
    for line in sentences(findings):
        console.print(line, markup=False)
    for note in findings.notes:
        console.print(f"note: {note}", markup=False)
    console.print(f"Tables are in {out}: {', '.join(f'{name}.{kind}' for name in FRAMES)}", markup=False)
    if as_json:
        for name in FRAMES:
            for row in json.loads(getattr(findings, name).to_json(orient="records")):
                click.echo(json.dumps({"table": name, **row}))


def _found(folder: Path, pairs: Path | None, definition: str, settings: dict[str, Any]) -> tuple[Findings, Path]:
    """Findings of a file or a folder, and where their tables go."""
    if not folder.exists():
        raise InputError(f"there is no file or folder {folder}")
    if folder.is_file():
        return of_files(folder, pairs, settings), folder.with_name(f"{folder.stem}_stages")
    if pairs is not None:
        raise InputError("--pairs goes with a file of series in place of a results folder")
    return of_results(Store(folder / "results"), definition, settings), folder / "stages"


def of_results(store: Store, definition: str = "chord", given: dict[str, Any] | None = None) -> Findings:
    """Findings of a results folder, by the settings of its study and those given beside.

    Raises:
        InputError: If there is nothing to find stages in.
    """
    from landscape.stages import analyse
    from landscape.stages.association.preregistered import preregistered
    from landscape.stages.series.observed import from_tables

    record = store.record()
    keys = {kind: [task["key"] for task in record["tasks"] if task["kind"] == kind] for kind in TABLES.values()}
    tables = {name: store.rows(name, keys[kind]) for name, kind in TABLES.items()}
    if not tables["barrier"].empty:
        tables["barrier"] = tables["barrier"][tables["barrier"]["definition"] == definition]
    observed = from_tables(tables)
    if observed.series.empty:
        raise InputError(f"no series over training is finished in {store.folder}; run the study first")
    settings = _settings({**record["study"].get("stages", {}), **(given or {})})
    findings = analyse(observed, settings, *preregistered(record.get("preregistered"), settings, definition))
    return replace(findings, notes=(*findings.notes, *_edited(store.folder.parent / "study.toml", record)))


def _edited(file: Path, record: dict[str, Any]) -> list[str]:
    """A note if the study file beside the results says otherwise than at the last run."""
    try:
        study = read_study(file)
    except InputError:
        return []
    if study.name != record["name"] or study.stages == _settings(record["study"].get("stages", {})):
        return []
    return [f"{file} has other [stages] settings than the last run; run the study again to use them"]


def of_files(series: Path, pairs: Path | None, given: dict[str, Any]) -> Findings:
    """Findings of other people's series.

    Raises:
        InputError: If a file is not what is wanted.
    """
    from landscape.stages import analyse
    from landscape.stages.series.files import read

    return analyse(read(series, pairs), _settings(given))


def _settings(given: dict[str, Any]) -> Stages:
    try:
        return Stages.model_validate(given)
    except ValidationError as error:
        raise InputError(f"stages cannot be found by these settings: {mistakes(error)}") from error


def write(frame: pd.DataFrame, file: Path) -> None:
    """A table as CSV or Parquet, whole or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    try:
        with replacing(file) as part:
            if file.suffix == ".csv":
                frame.to_csv(part, index=False)
            else:
                frame.to_parquet(part, index=False)
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error.strerror or error}; make room and run again") from error
