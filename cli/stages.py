"""``landscape stages``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import click
import pandas as pd
from pydantic import AfterValidator, Field

from landscape import catalogue
from landscape.cli.frame import say
from landscape.cli.settings import command as command_of
from landscape.errors import InputError, StorageError
from landscape.face.stages import stages
from landscape.files import replacing
from landscape.profile.metrics import LOSS
from landscape.spec import Choice, Settings
from landscape.stages.settings import Stages
from landscape.study.tasks import MAIN


class Shown(Settings):
    """What is read and written.

    Attributes:
        pairs: For a file of series, one of pairs: series, seed_a, seed_b, step, value.
        definition: Definition of a barrier.
        data: Data set whose rows are used: main is [data] of the study, others are [data.NAME].
        metric: Metric whose barriers and values are used in the place of the loss, such as accuracy.
        form: Form of the tables.
        as_json: One JSON object a line on stdout for each row of the tables.
    """

    pairs: str | None = None
    definition: Annotated[str, AfterValidator(Choice(catalogue.DEFINITIONS))] = "chord"
    data: str = MAIN
    metric: str = LOSS
    form: Literal["csv", "parquet"] = Field("csv", alias="format")
    as_json: bool = Field(False, alias="json")


@command_of(Stages, Shown, argument="FOLDER", omit=("primary",))
def command(ctx: click.Context, refs: tuple[str, ...], settings: Stages, shown: Shown) -> None:
    """Events, stages, and whether connectivity is associated with behaviour, from the results in FOLDER.

    FOLDER may also be a file of other people's series, CSV or Parquet with the columns series, seed, step, value and
    perhaps error; series of connectivity are called barrier... there. Tables go to FOLDER/stages, those of a file
    mine.csv to mine_stages beside it.
    """
    from landscape.stages.analysis import TABLES as FRAMES
    from landscape.stages.findings.sentences import sentences

    if len(refs) != 1:
        raise InputError(f"{len(refs)} folders are given; give one folder of results, or one file of series")
    folder = Path(refs[0])
    given = settings.model_dump(include=settings.model_fields_set)
    findings = stages(folder, shown.pairs, definition=shown.definition, data=shown.data, metric=shown.metric, **given)
    out = folder.with_name(f"{folder.stem}_stages") if folder.is_file() else folder / "stages"
    if findings.event.empty:
        raise InputError(
            "; ".join(findings.notes) or "no series over training was found: stages need checkpoints at steps"
        )
    for name in FRAMES:
        write(getattr(findings, name), out / f"{name}.{shown.form}")
    for line in sentences(findings):
        say(line)
    for note in findings.notes:
        say(f"note: {note}")
    say(f"Tables are in {out}: {', '.join(f'{name}.{shown.form}' for name in FRAMES)}")
    if shown.as_json:
        for name in FRAMES:
            for row in json.loads(getattr(findings, name).to_json(orient="records")):
                click.echo(json.dumps({"table": name, **row}))


def write(frame: pd.DataFrame, file: Path) -> None:
    """Write a table as CSV or Parquet, atomically.

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
