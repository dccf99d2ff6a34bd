"""``landscape simplex``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.table import Table

from landscape.cli.frame import WATCH, Output, finish
from landscape.cli.progress import console
from landscape.cli.settings import command as command_of
from landscape.face.inputs import Inputs, find
from landscape.face.simplex import measure
from landscape.study.kinds.simplices import Simplices

if TYPE_CHECKING:
    import pandas as pd

NAMES = {"vertex": "checkpoints", "edge": "middles of edges", "centre": "centre: the uniform soup", "random": "random"}


@command_of(Inputs, Simplices, Output, argument="REF REF...", changed={"between": "all"})
def command(ctx: click.Context, refs: tuple[str, ...], inputs: Inputs, spec: Simplices, output: Output) -> None:
    """The loss of mixtures of checkpoints: of two, of all (the soup), and of random shares."""
    found = measure(find(refs, inputs), spec, watch=WATCH)
    if not found.failed:
        console.print(_table(found.frame))
    finish(ctx, found.tables(), found.failed, output)


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
