"""``landscape components``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from landscape.cli.drawing import save_figure
from landscape.cli.frame import WATCH, Output, aligned_label, alignments, finish, say
from landscape.cli.progress import console
from landscape.cli.settings import command as command_of
from landscape.face.components import ComponentResult, measure
from landscape.face.inputs import Inputs, find
from landscape.study.kinds.components import Components

if TYPE_CHECKING:
    import pandas as pd

WAYS = {"single": "alone", "from_first": "with all before", "from_last": "with all after"}


class Shown(Output):
    """What the command shows and writes.

    Attributes:
        out: Folder of the figure and the results; left out, nothing is kept.
        as_json: One JSON object a line on stdout: component, component_profile and align rows.
    """

    out: str | None = None


@command_of(Inputs, Components, Shown, argument="REF REF...", changed={"between": "all"},
            omit=("path", "tolerance", "halfwidth", "target"))  # fmt: skip
def command(ctx: click.Context, refs: tuple[str, ...], inputs: Inputs, spec: Components, shown: Shown) -> None:
    """Which parts of a network make the barrier: only these tensors go from one checkpoint to the other."""
    out = Path(shown.out) if shown.out else None
    found = measure(find(refs, inputs), spec, out, WATCH)
    if not found.frame.empty:
        for method, own in found.frame.groupby("align", sort=False):
            console.print(_table(own, str(method)))
        for line in alignments(found.aligned):
            say(line)
        if out:
            _draw(found, out)
    finish(ctx, found.tables(), found.failed, shown)


def _table(rows: pd.DataFrame, method: str) -> Table:
    """A row for each component: its rise from both ends, alone and with others; means over pairs."""
    pairs = len(rows[["a", "b"]].drop_duplicates())
    table = Table(
        title=f"rise above the chord of the ends ({rows['unit'].iloc[0]}), {aligned_label(method)}",
        caption="in brackets 95 % intervals over examples" if pairs == 1 else f"means over {pairs} pairs",
    )
    table.add_column("component", overflow="fold")
    columns = [
        (way, start) for way in WAYS for start in "ab" if ((rows["way"] == way) & (rows["start"] == start)).any()
    ]
    for way, start in columns:
        table.add_column(f"{WAYS[way]}, from {start.upper()}", justify="right")
    for name, own in rows.sort_values("position", kind="stable").groupby("component", sort=False):
        cells = []
        for way, start in columns:
            here = own[(own["way"] == way) & (own["start"] == start)]
            interval = f" [{here['low'].iloc[0]:.3f}, {here['high'].iloc[0]:.3f}]" if pairs == 1 else ""
            cells.append(f"{here['rise'].mean():.3f}{interval}")
        table.add_row(str(name), *cells)
    return table


def _draw(found: ComponentResult, out: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from landscape.figures.components import section
    from landscape.figures.frames import Frames
    from landscape.figures.style import style

    with style():
        made = section(Frames(component=found.frame))
        assert made is not None
        said = save_figure(made.figure, out, "components")
    say(said)
