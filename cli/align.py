"""``landscape align``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table

from landscape import catalogue
from landscape.cli.frame import WATCH, Output, aligned_label, alignments, finish, say
from landscape.cli.progress import console
from landscape.cli.settings import command as command_of
from landscape.errors import InputError
from landscape.face.align import WEIGHTS, measure
from landscape.face.inputs import Inputs, find
from landscape.study.kinds.barriers import Barriers

if TYPE_CHECKING:
    import pandas as pd


class Shown(Output):
    """What the command writes and shows.

    Attributes:
        out: Folder of the aligned checkpoint.
        as_json: One JSON object a line on stdout: barrier and align rows.
    """

    out: str


@command_of(Inputs, Barriers, Shown, argument="A B", omit=("path", "target", "dtype"),
            changed={"between": "all", "align": (WEIGHTS,)})  # fmt: skip
def command(ctx: click.Context, refs: tuple[str, ...], inputs: Inputs, spec: Barriers, shown: Shown) -> None:
    """Write checkpoint B aligned to A, as the folder OUT, which from_pretrained loads.

    It computes the same as B, which is checked in float64, and its parameters are as near to those of A as symmetries
    allow. Barriers between A and B are shown before, after, and with a random element of the symmetry group. Where the
    head has to become a parameter of its own, OUT/first is A with the same parameters.
    """
    from pathlib import Path

    if len(refs) != 2:
        raise InputError(f"{len(refs)} references are given; two are wanted, A and B")
    if len(spec.align) != 1:
        raise InputError(f"align in one way: {', '.join(catalogue.MATCHERS)}")
    found = measure(find(refs, inputs), spec, Path(shown.out), WATCH)
    if not found.failed:
        console.print(_table(found.chords))
        for line in alignments(found.aligned):
            say(line)
        first = f", and {refs[0]} with the same parameters is {found.first}" if found.first else ""
        say(f"{refs[1]} aligned to {refs[0]} is {found.folder}{first}")
    finish(ctx, found.tables(), found.failed, shown)


def _table(rows: pd.DataFrame) -> Table:
    table = Table(title=f"chord barrier ({rows['unit'].iloc[0]})")
    table.add_column("B")
    table.add_column("barrier", justify="right")
    table.add_column("95 % interval", justify="right")
    for row in rows.to_dict("records"):
        table.add_row(
            aligned_label(row["align"]), f"{row['barrier']:.4f}", f"{row['low']:.4f} to {row['high']:.4f}",
        )  # fmt: skip
    return table
