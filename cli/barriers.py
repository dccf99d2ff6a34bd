"""``landscape barriers``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from landscape.cli import options
from landscape.cli.options import (
    DEFINITIONS,
    MATCHED,
    checked,
    config_option,
    data,
    data_options,
    grid_options,
    matching,
    require_grid,
    saved,
    symmetry_options,
)
from landscape.cli.progress import console
from landscape.cli.run import FAILED, run_now
from landscape.errors import InputError
from landscape.profile.sequential import ONE_LOOK
from landscape.study.file import Study
from landscape.study.kinds import Barriers
from landscape.study.sections import Checkpoints
from landscape.study.store import Store
from landscape.study.tasks import Checkpoint

if TYPE_CHECKING:
    import pandas as pd


@click.command()
@click.argument("refs", nargs=-1, required=True, metavar="REF REF...")
@data_options
@config_option
@grid_options
@symmetry_options("none", several=True)
@click.option("--path", default="linear", show_default=True, type=click.Choice(["linear", "spherical", "geodesic"]),
              help="A straight line, an arc for each tensor, or one arc for all weights.")  # fmt: skip
@click.option("--target", default="pairs", show_default=True, type=click.Choice(["pairs", "mean"]),
              help="With --halfwidth: what is to be known so well, each pair's barrier or their mean.")  # fmt: skip
@click.option("--dtype", default="float32", show_default=True,
              type=click.Choice(["float32", "tf32", "bfloat16", "auto"]),
              help="Precision of the forward pass; auto is the fastest here whose error is small beside the interval; "
              "tf32 needs a GPU.")  # fmt: skip
@click.option("--definition", default="chord", show_default=True, type=click.Choice(DEFINITIONS),
              help="Definition to show; --json has them all.")  # fmt: skip
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line on stdout: barrier, profile and match rows."
)
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Barrier matrix between checkpoints, now.

    REF is a folder written by save_pretrained, a weights file, a folder of checkpoint-N folders, a quoted pattern
    such as 'runs/seed_{seed}/step_100', a place on the hub such as hf://organisation/name@revision, or a checkpoint of
    a known family such as multiberts:seed=3,step=20000.
    """
    found = options.found(given["refs"], given["config"])
    study, definition = study_of(given, found), given["definition"]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        prepared, failed = run_now(study, found, given["device"], store)
        keys = [task.key for task in prepared.tasks]
        barriers, profiles, matches = (store.rows(table, keys) for table in ("barrier", "profile", "match"))
    if not barriers.empty:
        chosen = barriers[barriers["definition"] == definition]
        _show(chosen, found, definition)
        for line in checked(_records(matches)):
            console.print(line, markup=False)
        if given["target"] == "mean":
            for symmetry, own in barriers[barriers["definition"] == "chord"].groupby("symmetry", sort=False):
                console.print(_mean(own, MATCHED[str(symmetry)], given), markup=False)
        if given["halfwidth"] is not None:
            each = given["target"] == "pairs"
            console.print(saved(_records(chosen), given["sequences"], given["halfwidth"], each=each), markup=False)
    if given["as_json"]:
        for table, frame in (("barrier", barriers), ("profile", profiles), ("match", matches)):
            for row in _records(frame):
                click.echo(json.dumps({"table": table, **row}))
    if failed:
        ctx.exit(FAILED)


def study_of(given: dict[str, Any], found: list[Checkpoint]) -> Study:
    """The study of a matrix.

    Raises:
        InputError: If the options do not go together.
    """
    from landscape.checkpoints import fetch
    from landscape.checkpoints.models import default_objective

    points = given["points"]
    if len(found) < 2:
        raise InputError(f"{found[0].ref} is one checkpoint; a barrier is between two or more")
    require_grid(points, given["halfwidth"])
    if given["target"] == "mean" and given["halfwidth"] is None:
        raise InputError("--target mean is about --halfwidth: give the half-width, such as --halfwidth 0.02")
    if given.get("definition") == "midpoint" and points != "auto" and points % 2 == 0:
        raise InputError(
            f"the midpoint barrier needs t = 1/2 on the grid, which {points} points lack; give an odd number"
        )
    settings = {name: given[name] for name in ("path", "points", "halfwidth", "dtype")} | {
        "target": given.get("target", "pairs")
    }
    objective = given["objective"] or default_objective(fetch.described(found[0]))
    fixed = data(given, objective)
    settings |= {
        "symmetry": tuple(dict.fromkeys(given["symmetry"])),
        "match": matching(given, given["symmetry"], fixed),
    }
    return Study(
        version=1,
        name="barriers",
        checkpoints=Checkpoints(folder=found[0].ref),
        data=fixed,
        measure=(Barriers.model_validate({"kind": "barriers", "between": "all", **settings}),),
    )


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(row) for row in json.loads(frame.to_json(orient="records", double_precision=15))]


def _show(rows: pd.DataFrame, found: list[Checkpoint], definition: str) -> None:
    """A matrix for each way to deal with symmetries, and how they were made."""
    for number, checkpoint in enumerate(found, start=1):
        console.print(f"{number}  {checkpoint.ref}", markup=False)
    for symmetry, own in rows.groupby("symmetry", sort=False):
        console.print(_table(own, found, definition, str(symmetry)))
    _explain(rows)


def _mean(rows: pd.DataFrame, how: str, given: dict[str, Any]) -> str:
    """The mean of the chord barriers in a sentence."""
    from landscape.profile.units import MIN_UNITS, mean_over_units

    refs = {ref: number for number, ref in enumerate(sorted({*rows["a"], *rows["b"]}))}
    values, half = rows["barrier"].to_numpy(), (rows["high"] - rows["low"]).to_numpy() / 2
    mean, low, high = mean_over_units(values, half / ONE_LOOK, *(rows[side].map(refs).to_numpy() for side in "ab"))
    used = int(rows["examples"].max())
    known = f"± {given['halfwidth']:g} from {used} examples"
    if used >= given["sequences"]:
        known = f"all {used} examples were needed, or more for ± {given['halfwidth']:g}"
    over = f"95 % interval over other checkpoints: {low:.3f} to {high:.3f}"
    if len(refs) < MIN_UNITS:
        over = f"an interval over other checkpoints needs {MIN_UNITS} of them"
    return f"mean chord barrier of {len(rows)} pair{'s' * (len(rows) > 1)}, {how}: {mean:.3f}; {known}; {over}"


def _explain(rows: pd.DataFrame) -> None:
    from landscape.figures.captions import caption

    close = "; *: closer together than rounding on disk can tell" if rows["below_floor"].any() else ""
    console.print(f"{caption(rows)}; below each barrier its 95 % interval{close}", markup=False)


def _table(rows: pd.DataFrame, found: list[Checkpoint], definition: str, symmetry: str) -> Table:
    """The matrix, its lower half; the ends' losses on the diagonal."""
    table = Table(
        title=f"{definition} barrier ({rows['unit'].iloc[0]}), {MATCHED[symmetry]}",
        caption="on the diagonal: loss of the checkpoint",
    )
    table.add_column("")
    names = [checkpoint.ref for checkpoint in found]
    cells = {
        (row.a, row.b): f"{row.barrier:.3f}{'*' if row.below_floor else ''}\n{row.low:.3f} to {row.high:.3f}"
        for row in rows.itertuples()
    }
    losses = {ref: loss for side in "ab" for ref, loss in zip(rows[side], rows[f"loss_{side}"], strict=True)}
    for number in range(len(names)):
        table.add_column(str(number + 1), justify="right", no_wrap=True)
    for i, name in enumerate(names):
        here = [cells.get((names[j], name), "") for j in range(i)]
        table.add_row(str(i + 1), *here, f"{losses[name]:.3f}" if name in losses else "failed")
    return table
