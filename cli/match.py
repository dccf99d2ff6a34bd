"""``landscape match``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click
import pandas as pd
from rich.table import Table

from landscape.cli.barriers import study_of
from landscape.cli.options import MATCHED, checked, data_options, grid_options, symmetry_options
from landscape.cli.progress import console
from landscape.cli.run import FAILED, run_now
from landscape.errors import InputError
from landscape.store import Store


@click.command()
@click.argument("a")
@click.argument("b")
@data_options
@symmetry_options("weights")
@grid_options
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the new B.")
@click.option("--config", default="", help="Folder of config.json, for weights that have none beside them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout: barrier and match rows.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Write checkpoint B in the coordinates of A, as the folder OUT, which from_pretrained loads.

    It computes the same as B, which is checked in float64, and lies as near to A as symmetries allow. Shown beside are the
    barriers between A and B as it was, as it is now, and in random coordinates. Where the head has to become a parameter
    of its own, OUT/first is A with the same parameters.
    """
    from landscape.checkpoints import fetch, find, models

    found = [checkpoint for ref in (given["a"], given["b"]) for checkpoint in find(ref, given["config"])]
    if len(found) != 2:
        raise InputError(f"{given['a']} and {given['b']} are {len(found)} checkpoints; two are wanted, one each")
    if given["symmetry"] == "none":
        raise InputError("--symmetry none leaves B as it is; give weights, activations, learned or random")
    wanted = list(dict.fromkeys(("none", given["symmetry"], "random")))
    study = study_of({**given, "numerics": "float32", "path": "linear", "symmetry": wanted}, found)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        prepared, failed = run_now(study, found, given["device"], store)
        keys = [task.key for task in prepared.tasks]
        barriers, matches = store.rows("barrier", keys), store.rows("match", keys)
        for task in prepared.tasks:
            if task.kind == "barriers" and dict(task.settings).get("matching", {}).get("symmetry") == given["symmetry"]:
                if task.key in failed:
                    ctx.exit(FAILED)
                one, two = prepared.session.matched(task)
                matching = dict(task.settings)["matching"]
                model = prepared.session.objective_for(matching).model.cpu()
                described = fetch.described(found[0])
                models.write(given["out"], two.cpu(), model, described)
                if prepared.session.unties(matching):
                    models.write(given["out"] / "first", one.cpu(), model, described)
    console.print(_table(barriers[barriers["definition"] == "chord"]))
    for line in checked(matches.to_dict("records")):
        console.print(line, markup=False)
    console.print(f"{given['b']} in the coordinates of {given['a']} is {given['out']}", markup=False)
    if as_json := given["as_json"]:
        for table, frame in (("barrier", barriers), ("match", matches)):
            for row in json.loads(frame.to_json(orient="records", double_precision=15)) if as_json else []:
                click.echo(json.dumps({"table": table, **row}))


def _table(rows: pd.DataFrame) -> Table:
    table = Table(title=f"chord barrier ({rows['unit'].iloc[0]})")
    for name, side in (("B", "left"), ("barrier", "right"), ("95 % interval", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for row in rows.to_dict("records"):
        table.add_row(
            MATCHED[row["symmetry"]], f"{row['barrier']:.4f}", f"{row['low']:.4f} to {row['high']:.4f}",
        )  # fmt: skip
    return table
