"""``landscape match``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd
from rich.table import Table

from landscape.cli import options
from landscape.cli.barriers import study_of
from landscape.cli.options import MATCHED, checked, config_option, data_options, grid_options, symmetry_options
from landscape.cli.progress import console
from landscape.cli.run import FAILED, run_now
from landscape.errors import InputError
from landscape.files import replacing_folder
from landscape.study.store import Store
from landscape.study.checkpoint import Checkpoint
from landscape.study.tasks import Task

if TYPE_CHECKING:
    from landscape.measure.prepare import Prepared


MARK = "match.json"
"""Beside the weights: what came of the match; and a sign that the folder may be written again."""


@click.command()
@click.argument("a")
@click.argument("b")
@data_options
@symmetry_options("weights")
@grid_options
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the new B.")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout: barrier and match rows.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Write checkpoint B in the coordinates of A, as the folder OUT, which from_pretrained loads.

    It computes the same as B, which is checked in float64, and lies as near to A as symmetries allow. Shown beside
    are the barriers between A and B as it was, as it is now, and in random coordinates. Where the head has to become a
    parameter of its own, OUT/first is A with the same parameters.
    """
    from landscape.checkpoints import fetch

    found = options.found((given["a"], given["b"]), given["config"])
    if len(found) != 2:
        raise InputError(f"{given['a']} and {given['b']} are {len(found)} checkpoints; two are wanted, one each")
    out = given["out"].resolve()
    _require_free(out, [Path(checkpoint.ref).resolve() for checkpoint in found])
    if fetch.content(found[0]) == fetch.content(found[1]):
        raise InputError(f"{given['a']} and {given['b']} hold the same weights; there is nothing to match")
    if given["symmetry"] == "none":
        raise InputError("--symmetry none leaves B as it is; give weights, activations, learned or random")
    wanted = list(dict.fromkeys(("none", given["symmetry"], "random")))
    study = study_of({**given, "dtype": "float32", "path": "linear", "symmetry": wanted, "target": "pairs"}, found)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        prepared, failed = run_now(study, found, given["device"], store)
        if failed:
            ctx.exit(FAILED)
        keys = [task.key for task in prepared.tasks]
        barriers, matches = store.rows("barrier", keys), store.rows("match", keys)
        rows = json.loads(matches.drop(columns="moves").to_json(orient="records", double_precision=15))
        _write(prepared, given["symmetry"], out, found[0], json.dumps(rows, indent=1) + "\n")
    console.print(_table(barriers[barriers["definition"] == "chord"]))
    for line in checked(matches.to_dict("records")):
        console.print(line, markup=False)
    first = f", and {given['a']} with the same parameters is {out / 'first'}" if (out / "first").exists() else ""
    console.print(f"{given['b']} in the coordinates of {given['a']} is {out}{first}", markup=False)
    for table, frame in (("barrier", barriers), ("match", matches.drop(columns="moves"))) if given["as_json"] else ():
        for row in json.loads(frame.to_json(orient="records", double_precision=15)):
            click.echo(json.dumps({"table": table, **row}))


def _require_free(out: Path, inputs: list[Path]) -> None:
    """Refuse a place that holds anything but what this command has left there.

    Raises:
        InputError: If it does.
    """
    if out in inputs or any(path.is_relative_to(out) for path in inputs):
        raise InputError(f"{out} holds a checkpoint that is matched; give another --out")
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / MARK).is_file())):
        raise InputError(f"{out} is there and not of this command; give a new folder to --out")


def _write(prepared: Prepared, symmetry: str, out: Path, first: Checkpoint, mark: str) -> None:
    """The second checkpoint where the study has moved it; and the first, if its parameters are others now.

    Raises:
        StorageError: If they cannot be written.
    """
    from landscape.checkpoints import fetch, saving

    session, described = prepared.session, fetch.described(first)
    (task,) = (task for task in prepared.tasks if task.kind == "barriers" and _symmetry(task) == symmetry)
    matching = dict(task.settings)["matching"]
    one, two = session.matched(task)
    model = session.objective_for(matching).model.cpu()
    with saving.storing(out), replacing_folder(out) as part:
        (part / MARK).write_text(mark)
        saving.save(part, two.cpu(), model, described)
        if session.unties(matching):
            saving.save(part / "first", one.cpu(), model, described)


def _symmetry(task: Task) -> str:
    return str(dict(task.settings).get("matching", {}).get("symmetry"))


def _table(rows: pd.DataFrame) -> Table:
    table = Table(title=f"chord barrier ({rows['unit'].iloc[0]})")
    for name, side in (("B", "left"), ("barrier", "right"), ("95 % interval", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for row in rows.to_dict("records"):
        table.add_row(
            MATCHED[row["symmetry"]], f"{row['barrier']:.4f}", f"{row['low']:.4f} to {row['high']:.4f}",
        )  # fmt: skip
    return table
