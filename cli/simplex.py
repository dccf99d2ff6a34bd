"""``landscape simplex``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click
import pandas as pd
from rich.table import Table

from landscape.cli import options
from landscape.cli.options import SEED, config_option, data, data_options
from landscape.cli.progress import console
from landscape.cli.run import FAILED, run_now
from landscape.errors import InputError
from landscape.study.file import Study
from landscape.study.kinds import Simplices
from landscape.study.sections import Checkpoints
from landscape.study.store import Store

NAMES = {"vertex": "checkpoints", "edge": "middles of edges", "centre": "centre: the uniform soup", "random": "random"}


@click.command()
@click.argument("refs", nargs=-1, required=True, metavar="REF REF...")
@data_options
@click.option("--mixtures", default=16, show_default=True, type=click.IntRange(0), help="Random mixtures.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of the random mixtures.")
@config_option
@click.option("--dtype", default="float32", show_default=True, type=click.Choice(["float32", "tf32", "bfloat16"]))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each mixture.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """The loss of mixtures of checkpoints: of two, of all (the soup), and of random shares."""
    found = options.found(given["refs"], given["config"])
    from landscape.checkpoints import fetch
    from landscape.checkpoints.models import default_objective

    if len(found) < 2:
        raise InputError(f"{given['refs'][0]} is one checkpoint; a mixture is of two or more")
    settings = {name: given[name] for name in ("mixtures", "seed", "dtype")}
    study = Study(
        version=1,
        name="simplex",
        checkpoints=Checkpoints(folder=given["refs"][0]),
        data=data(given, given["objective"] or default_objective(fetch.described(found[0]))),
        measure=(Simplices.model_validate({"kind": "simplices", "between": "all", **settings}),),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        prepared, failed = run_now(study, found, given["device"], store)
        if failed:
            ctx.exit(FAILED)
        rows = store.rows("mixture", [task.key for task in prepared.tasks])
    console.print(_table(rows))
    if given["as_json"]:
        for row in json.loads(rows.to_json(orient="records", double_precision=15)):
            click.echo(json.dumps({"table": "mixture", **row}))


def _table(rows: pd.DataFrame) -> Table:
    """Means over the mixtures of a kind, and their extremes."""
    table = Table(
        title=f"mixtures of {len(json.loads(rows['checkpoints'].iloc[0]))} checkpoints ({rows['unit'].iloc[0]}, "
        f"{rows['examples'].iloc[0]} examples)",
        caption="±: largest standard error over examples; rise: above the same mixture of the checkpoints' losses",
    )
    for title in ("kind", "number", "lowest loss", "highest loss", "rise", "above the best checkpoint"):
        table.add_column(title, justify="left" if title == "kind" else "right")
    for kind, name in NAMES.items():
        own = rows[rows["kind"] == kind]
        if own.empty:
            continue
        cells = [f"{own['loss'].min():.3f}", f"{own['loss'].max():.3f}"]
        for value in ("rise", "above_best"):
            low, high = (own[value].agg(which).round(3) + 0.0 for which in ("min", "max"))
            extent = f"{low:.3f} to {high:.3f}" if len(own) > 1 else f"{low:.3f}"
            cells.append(f"{extent} ± {own[f'{value}_error'].max():.3f}")
        table.add_row(name, str(len(own)), *cells)
    return table
