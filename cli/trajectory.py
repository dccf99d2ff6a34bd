"""``landscape trajectory``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from landscape.cli.drawing import save_figure
from landscape.cli.frame import WATCH, Output, finish, say
from landscape.cli.progress import console
from landscape.cli.settings import command as command_of
from landscape.face.inputs import Inputs, find
from landscape.face.trajectory import TrajectoryResult, measure
from landscape.study.kinds.trajectory import WINDOW, Trajectory

if TYPE_CHECKING:
    import pandas as pd

UNITS = {"height": "height above the start", "ascent": "largest ascent", "plateau": "length of the plateau (t)",
         "exceeds_at": "above the start again at (t)", "gain_over_mean": "gain over the mean of the losses",
         "gain_over_newest": "gain over the newest"}  # fmt: skip


class Shown(Output):
    """What the command shows and writes.

    Attributes:
        out: Folder of the figure and the results; left out, nothing is kept.
    """

    out: str | None = None


@command_of(Inputs, Trajectory, Shown, argument="REF REF...", keep=("between",))
def command(ctx: click.Context, refs: tuple[str, ...], inputs: Inputs, spec: Trajectory, shown: Shown) -> None:
    """Loss on lines from earlier to later checkpoints of a run and beyond, or of means of its last checkpoints.

    REF is as for barriers, such as the quoted pattern 'runs/seed_0/step_{step}'.
    """
    out = Path(shown.out) if shown.out else None
    found = measure(find(refs, inputs), spec, out, WATCH)
    if not found.frame.empty:
        console.print(_table(found.frame))
        _say(found, spec)
        if out:
            _draw(found, out)
    finish(ctx, found.tables(), found.failed, shown)


def _table(rows: pd.DataFrame) -> Table:
    """A row for each line or window, a column for each number."""
    table = Table(
        title=f"along a run ({rows['unit'].iloc[0]}, {rows['examples'].iloc[0]} examples)",
        caption="below each number its 95 % interval over examples",
    )
    names = list(rows["metric"].unique())
    for title in ("from", "to", *(UNITS[name] for name in names)):
        table.add_column(title, justify="left" if title in ("from", "to") else "right", overflow="fold")
    for (a, b, start), own in rows.groupby(["a", "b", "start"], sort=False):
        cells = {row["metric"]: _cell(row) for row in own.to_dict("records")}
        table.add_row(str(a) if start == "checkpoint" else start, str(b), *(cells.get(name, "") for name in names))
    return table


def _cell(row: dict[str, object]) -> str:
    import pandas as pd

    value, low, high = (pd.to_numeric(row[name]) for name in ("value", "low", "high"))
    if pd.isna(value):
        return "none" if pd.isna(low) else f"beyond {row['beyond']:g}"
    return f"{value:.3f}\n{low:.3f} to " + (f"{high:.3f}" if pd.notna(high) else "open")


def _say(found: TrajectoryResult, spec: Trajectory) -> None:
    """When runs enter their basin."""
    import pandas as pd

    if spec.between != WINDOW:
        return
    for row in found.entered.to_dict("records"):
        run = f"run {row['run']}" if pd.notna(row["run"]) else "the run"
        when = f"from step {int(row['step']):,} on" if pd.notna(row["step"]) else "at no step up to the last"
        say(f"{run}: the mean of {spec.k} checkpoints gains over the mean of their losses {when}")


def _draw(found: TrajectoryResult, out: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from landscape.figures.style import note, style
    from landscape.figures.trajectory import drawn

    with style():
        figure, text = drawn(found.frame, found.lines)
        note(figure.axes[0], text)
        said = save_figure(figure, out, "trajectory")
    say(said)
