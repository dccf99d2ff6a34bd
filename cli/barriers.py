"""``landscape barriers``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import click
from pydantic import AfterValidator

from landscape import catalogue
from landscape.cli import matrix
from landscape.cli.frame import WATCH, Output, aligned_label, alignments, chosen_dtype, finish, saved, say
from landscape.cli.progress import console
from landscape.cli.settings import command as command_of
from landscape.face.barriers import CHORD, BarrierMatrix, measure
from landscape.face.inputs import Inputs, find
from landscape.profile.chosen import of_metric
from landscape.profile.metrics import LOSS
from landscape.profile.sequential import ONE_LOOK
from landscape.spec import Choice
from landscape.study.kinds.barriers import Barriers

if TYPE_CHECKING:
    import pandas as pd


class Shown(Output):
    """What the command shows.

    Attributes:
        definition: Definition to show, with narrow intervals; --json has them all.
        metric: Metric to show: loss, or another that the objective measures, such as accuracy or perplexity. A change
            for the worse is positive.
        as_json: One JSON object a line on stdout: rows of barriers, profiles, their metrics and alignments.
    """

    definition: Annotated[str, AfterValidator(Choice(catalogue.DEFINITIONS))] = CHORD
    metric: str = LOSS


@command_of(Inputs, Barriers, Shown, argument="REF REF...", changed={"between": "all"})
def command(ctx: click.Context, refs: tuple[str, ...], inputs: Inputs, spec: Barriers, shown: Shown) -> None:
    """Barrier matrix between checkpoints, now.

    REF is a folder written by save_pretrained, a weights file, a folder of checkpoint-N folders, a quoted pattern
    such as 'runs/seed_{seed}/step_100', a place on the hub such as hf://organisation/name@revision, or a checkpoint of
    a known family such as multiberts:seed=3,step=20000. The folder of a run means all its steps, or those of --at.
    """
    found = measure(find(refs, inputs), spec, definition=shown.definition, watch=WATCH)
    if not found.frame.empty:
        _show(found.of(shown.metric), spec, inputs.sequences)
    finish(ctx, found.tables(), found.failed, shown)


def _show(found: BarrierMatrix, spec: Barriers, sequences: int) -> None:
    """A matrix for each way to align, and how they were made."""
    every = of_metric(found.tables(), found.metric)["barrier"]
    rows = every[every["definition"] == found.definition]
    for number, checkpoint in enumerate(found.checkpoints, start=1):
        say(f"{number}  {checkpoint.ref}")
    names = [checkpoint.ref for checkpoint in found.checkpoints]
    width, unit = console.width, rows["unit"].iloc[0]
    for method, own in rows.groupby("align", sort=False):
        title = f"{found.definition} barrier ({unit}), {aligned_label(str(method))}"
        for table in matrix.tables(own, names, title, width, found.metric):
            console.print(table)
    _explain(rows, intervals=matrix.has_intervals(rows, len(names), width))
    if spec.dtype == "auto":
        say(chosen_dtype(rows))
    for line in alignments(found.aligned):
        say(line)
    if spec.target == "mean":
        for method, own in every[every["definition"] == CHORD].groupby("align", sort=False):
            say(_mean(own, aligned_label(str(method)), spec, sequences))
    if spec.halfwidth is not None:
        say(saved(rows, sequences, spec.halfwidth, each=spec.target == "pairs"))


def _mean(rows: pd.DataFrame, how: str, spec: Barriers, sequences: int) -> str:
    """The mean of the chord barriers in a sentence."""
    from landscape.profile.units import MIN_UNITS, mean_over_units

    refs = {ref: number for number, ref in enumerate(sorted({*rows["a"], *rows["b"]}))}
    values, half = rows["barrier"].to_numpy(), (rows["high"] - rows["low"]).to_numpy() / 2
    mean, low, high = mean_over_units(values, half / ONE_LOOK, *(rows[side].map(refs).to_numpy() for side in "ab"))
    used = int(rows["examples"].max())
    known = f"± {spec.halfwidth:g} from {used} examples"
    if used >= sequences and half.mean() > spec.halfwidth:  # the mean of pairs is known no worse than they are
        known = f"± {half.mean():.2g} or less, from all {used} examples; ± {spec.halfwidth:g} may need more"
    over = f"95 % interval over other checkpoints: {low:.3f} to {high:.3f}"
    if len(refs) < MIN_UNITS:
        over = f"an interval over other checkpoints needs {MIN_UNITS} of them"
    return f"mean chord barrier of {len(rows)} pair{'s' * (len(rows) > 1)}, {how}: {mean:.3f}; {known}; {over}"


def _explain(rows: pd.DataFrame, *, intervals: bool) -> None:
    """How the numbers were made, and what the cells hold."""
    from landscape.figures.captions import caption

    below = "below each barrier its 95 % interval" if intervals else "--json has the 95 % intervals"
    close = "; *: closer together than rounding on disk can tell" if rows["below_floor"].any() else ""
    say(f"{caption(rows)}; {below}{close}")
