"""``landscape probe``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import Field
from rich.table import Table

from landscape.cli.drawing import save_figure
from landscape.cli.frame import WATCH, Output, aligned_label, finish, say
from landscape.cli.progress import console
from landscape.cli.settings import command as command_of
from landscape.face.inputs import Inputs
from landscape.face.probe import UNNAMED, measure
from landscape.study.checkpoint import Checkpoint
from landscape.study.kinds.probes import Probes

if TYPE_CHECKING:
    import pandas as pd

WIDE = 4
"""Checkpoints side by side in one table."""
DISTANCES = {
    "disagreement": "disagreement of predictions (1 - kappa)",
    "divergence": "divergence of predictions (nats)",
}


class Shown(Output):
    """What the command shows and writes.

    Attributes:
        distances: Also how differently every two of them predict.
        every: Show every score: of each head, layer, template and paradigm.
        out: Keep results here, every outcome among them, and go on from what is there; left out, nothing is kept.
    """

    distances: bool = False
    every: bool = Field(False, alias="all")
    out: str | None = None


@command_of(Inputs, Probes, Shown, changed={"names": UNNAMED})
def command(ctx: click.Context, refs: tuple[str, ...], inputs: Inputs, spec: Probes, shown: Shown) -> None:
    """What checkpoints can do: scores and margins of behavioural probes, with their errors.

    Items are the same for all checkpoints. Nothing is downloaded but checkpoints themselves.
    """
    out = Path(shown.out) if shown.out else None
    found = measure(refs, inputs, spec, distances=shown.distances, out=out, watch=WATCH)
    for (path, align), part in found.drops.groupby(["path", "align"], sort=False) if len(found.drops) else ():
        _show_drops(part, f"along a {path} path, {aligned_label(str(align))}", every=shown.every)
    if not found.frame.empty:
        _show(found.frame, found.checkpoints, every=shown.every)
    for metric, part in found.distances.groupby("metric", sort=False) if not found.distances.empty else ():
        _show_distances(part, found.checkpoints, str(metric))
    if out:
        _draw(found.frame, out)
        _draw_along(found.along, out)
    finish(ctx, found.tables(), found.failed, shown)


def _show(rows: pd.DataFrame, found: Sequence[Checkpoint], *, every: bool) -> None:
    """The scores: a column for each checkpoint, or for many checkpoints a table for each probe's main numbers."""
    wide = len(found) <= WIDE
    shown = rows if every else rows[rows["headline"] | ((rows["subset"] == "") & wide)]
    table = Table(caption="±: standard error over items; *: stands for the probe in figures")
    for title in ("probe", "score", "of"):
        table.add_column(title)
    if wide:
        for checkpoint in found:
            table.add_column(checkpoint.ref, justify="right", overflow="fold")
    else:
        table.add_column("checkpoint")
        table.add_column("", justify="right")
    for (probe, metric, subset), part in shown.groupby(["probe", "metric", "subset"], sort=False):
        cells = {r["checkpoint"]: f"{r['value']:.4g} {_plus_minus(r['error'])}" for r in part.to_dict("records")}
        name = f"{metric}{' *' if part['headline'].any() else ''}"
        if wide:
            table.add_row(probe, name, subset, *(cells.get(c.ref, "failed") for c in found))
        else:
            for k, checkpoint in enumerate(found):
                before = (probe, name, subset) if k == 0 else ("", "", "")
                table.add_row(*before, checkpoint.ref, cells.get(checkpoint.ref, "failed"))
    console.print(table)
    scores = ["metric", "subset"]
    for probe, part in rows.groupby("probe", sort=False):
        first = part.iloc[0]
        left = len(part.drop_duplicates(scores)) - len(shown[shown["probe"] == probe].drop_duplicates(scores))
        more = f"; {left} more scores with --all" if left else ""
        say(f"{probe}: {first['about']}; items {first['items_hash']}{more}")


def _show_drops(rows: pd.DataFrame, title: str, *, every: bool) -> None:
    """How far each score of each pair falls below the chord of the ends."""
    import pandas as pd

    table = Table(
        title=title, caption="drop: largest fall below the chord of the ends, or rise of what is better low; in "
        "brackets its 95 % interval over items",
    )  # fmt: skip
    for name in ("from", "to", "probe", "score", "of", "ends", "drop", "at t"):
        table.add_column(name, justify="right" if name in ("ends", "drop", "at t") else "left", overflow="fold")
    shown = rows if every else rows[rows["headline"].astype(bool)]
    for row in shown.to_dict("records"):
        known = pd.notna(row["drop"])
        drop = f"{row['drop']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" if known else f"{row['plugin']:.3f}"
        table.add_row(
            *(str(row[name]) for name in ("a", "b", "probe", "metric", "subset")),
            f"{row['value_a']:.3f} and {row['value_b']:.3f}", drop, f"{row['t_at_max']:.2g}",
        )  # fmt: skip
    console.print(table)


def _draw_along(rows: pd.DataFrame, out: Path) -> None:
    """The loss and the main scores along the paths, of the last way to align."""
    if rows.empty:
        return
    import matplotlib as mpl

    mpl.use("Agg")
    from landscape.figures.abilities import section
    from landscape.figures.frames import Frames
    from landscape.figures.style import style

    with style():
        made = section(Frames(probe_along=rows))
        assert made is not None
        said = save_figure(made.figure, out, "along")
    say(said)


def _plus_minus(error: float) -> str:
    import pandas as pd

    return "(one item)" if pd.isna(error) else f"± {error:.2g}"


def _show_distances(rows: pd.DataFrame, found: Sequence[Checkpoint], metric: str) -> None:
    """A matrix of one distance, its lower half."""
    table = Table(
        title=DISTANCES[metric], caption=f"±: standard error over examples; {rows['items'].iloc[0]} predictions"
    )
    table.add_column("")
    cells = {(r["a"], r["b"]): f"{r['value']:.3f} ± {r['error']:.3f}" for r in rows.to_dict("records")}
    for number in range(len(found)):
        table.add_column(str(number + 1), justify="right", no_wrap=True)
    for i, one in enumerate(found):
        table.add_row(f"{i + 1}  {one.ref}", *(cells.get((found[j].ref, one.ref), "") for j in range(i)))
    console.print(table)


def _draw(rows: pd.DataFrame, out: Path) -> None:
    """The main scores against step, where there are several."""
    if rows.empty or rows["step"].nunique() < 2:
        return
    import matplotlib as mpl

    mpl.use("Agg")
    from landscape.figures.probes import about, probes_over_training
    from landscape.figures.style import note, panels, style

    with style():
        figure, axes = panels(len(probes_over_training(rows)))
        probes_over_training(rows, axes)
        note(axes[0], about(rows))
        said = save_figure(figure, out, "probes")
    say(said)
