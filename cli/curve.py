"""``landscape curve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from landscape import catalogue
from landscape.cli.frame import WATCH, Output, alignments, chosen_dtype, finish, saved, say
from landscape.cli.progress import console
from landscape.cli.settings import command as command_of
from landscape.errors import InputError
from landscape.face.curve import measure, with_texts
from landscape.face.inputs import Inputs, find
from landscape.profile.metrics import LOSS
from landscape.study.kinds.curves import Curves
from landscape.texts import TRAINING_TEXT

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "loss_increase": "loss increase over the better end", "mean_loss_increase": "mean loss increase",
    "largest_loss": "largest loss", "mean_loss": "mean loss", "arc_mean_loss": "by arc length",
}  # fmt: skip
OF_METRIC = {
    "loss_increase": "worst below the better end", "mean_loss_increase": "mean below the better end",
    "largest_loss": "worst {}", "mean_loss": "mean {}",
}  # fmt: skip
"""The same of a metric in place of the loss; its mean by arc length is not known."""


class Shown(Output):
    """What the command writes and shows.

    Attributes:
        out: Folder of the curve, its bends and its results.
        metric: Metric to show: loss, or another that the objective measures. A change for the worse is positive.
        as_json: One JSON object a line on stdout: rows of barriers, profiles, their metrics and alignments.
    """

    out: str = "curve"
    metric: str = LOSS


@command_of(Inputs, Curves, Shown, argument="A B", changed={"between": "all", "fit_text": str(TRAINING_TEXT)},
            omit=("target",))  # fmt: skip
def command(ctx: click.Context, refs: tuple[str, ...], inputs: Inputs, spec: Curves, shown: Shown) -> None:
    """Learn a curve of low loss from checkpoint A to B, and score it on held-out text.

    Its file is OUT/curve.safetensors, its bends are the folders OUT/bend_1, ... and, for aligned checkpoints, its ends
    OUT/end_a and OUT/end_b. A fit that was stopped goes on when the command is run again.
    """
    if spec.fit_text == str(TRAINING_TEXT):
        with_texts({"text": inputs.text})
    if len(spec.align) != 1:
        raise InputError(f"align in one way: none, {', '.join(catalogue.MATCHERS)}")
    models = find(refs, inputs)
    if len(refs) != 2 or len(models.checkpoints) != 2:
        raise InputError(f"{' and '.join(refs)} are {len(models.checkpoints)} checkpoints; a curve joins two, one each")
    curve = measure(models, spec, Path(shown.out), WATCH)
    if not curve.failed:
        for line in alignments(curve.aligned):
            say(line)
        chords = curve.of(shown.metric).chords
        console.print(_table(chords, shown.metric))
        if spec.dtype == "auto":
            say(chosen_dtype(chords))
        if spec.halfwidth is not None:
            say(saved(chords, inputs.sequences, spec.halfwidth))
    finish(ctx, curve.tables(), curve.failed, shown)


def _table(rows: pd.DataFrame, metric: str) -> Table:
    """Each path. On a straight line arc length and t are the same."""
    import pandas as pd

    columns = COLUMNS if metric == LOSS else {name: title.format(metric) for name, title in OF_METRIC.items()}
    rows = rows.reindex(columns=[*dict.fromkeys([*rows.columns, "arc_mean_loss", "arc_mean_loss_error"])])
    for name in ("arc_mean_loss", "arc_mean_loss_error"):
        rows = rows.assign(**{name: rows[name].fillna(rows[name.removeprefix("arc_")])})
    errors = pd.to_numeric(rows["t_error"]).dropna()
    error = f"within {errors.max():.1g}" if len(errors) else "not known"
    table = Table(
        title=f"chord barrier ({rows['unit'].iloc[0]}), on {rows['examples'].max()} held-out examples",
        caption=f"in brackets 95 % intervals; ±: standard error, paired; between the points of t: {error}",
    )
    for title in ("path", "barrier", *columns.values(), "length"):
        table.add_column(title, justify="left" if title == "path" else "right")
    for row in rows.to_dict("records"):
        values = (f"{row[k]:.3f} ± {row[f'{k}_error']:.3f}" if pd.notna(row[k]) else "" for k in columns)
        table.add_row(
            "to a random point" if row["path"] == "control" else row["path"],
            f"{row['barrier']:.3f} [{row['low']:.3f}, {row['high']:.3f}]", *values,
            f"{row['path_length']:.2f}" if pd.notna(row["path_length"]) else f"{row['distance']:.2f}",
        )  # fmt: skip
    return table
