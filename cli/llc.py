"""``landscape llc``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from landscape.cli.drawing import save_figure
from landscape.cli.frame import WATCH, Output, finish, say
from landscape.cli.progress import console
from landscape.cli.settings import command as command_of
from landscape.face.inputs import Inputs, find
from landscape.face.llc import Coefficients, calibration, measure
from landscape.study.kinds.llc import Llc

if TYPE_CHECKING:
    import pandas as pd

PROPOSED = ("kind", "step_size", "localisation", "chains", "draws", "burn_in")
"""Settings that a proposal names in any case."""


class Shown(Output):
    """What the command does and writes.

    Attributes:
        calibrate: Try a grid of step sizes and localisations at the first and the last REF, and propose settings.
        out: Keep results here, with figures, and go on from what is there; left out, nothing is kept.
    """

    calibrate: bool = False
    out: str | None = None


@command_of(Inputs, Llc, Shown)
def command(ctx: click.Context, refs: tuple[str, ...], inputs: Inputs, spec: Llc, shown: Shown) -> None:
    """Local learning coefficient of each checkpoint, with its error and what makes it unreliable.

    Values of checkpoints are comparable at equal n-beta, localisation and step size only. With --step-size auto the
    step of each follows its own curvature, the top eigenvalue of the Hessian; --calibrate proposes one setting for a
    whole trajectory.
    """
    out = Path(shown.out) if shown.out else None
    run = calibration if shown.calibrate else measure
    found = run(find(refs, inputs), spec, out, WATCH)
    if not found.frame.empty:
        _show(found.frame)
        if out:
            _draw(found, out, calibrated=shown.calibrate)
        if shown.calibrate:
            _propose(found.frame, spec)
    finish(ctx, found.tables(), found.failed, shown)


def _show(rows: pd.DataFrame) -> None:
    """The coefficients, and what makes them unreliable."""
    import pandas as pd

    first = rows.iloc[0]
    pulls = rows["localisation"].unique()
    table = Table(
        title=f"local learning coefficient: {first['sampler']}, {first['chains']} chains of {first['draws']} draws "
        f"after a burn-in of {first['burn_in']}, n_beta {first['n_beta']:.4g}"
        + (f", localisation {pulls[0]:g}" if len(pulls) == 1 else ""),
        caption="±: Monte Carlo standard error; ESS: effective sample size; bias: what the step adds along the top "
        "Hessian eigenvector, by which the interval reaches down",
    )
    several = ["localisation"] if len(pulls) > 1 else []
    for title in ("checkpoint", *several, "step size", "llc", "95 %", "R-hat", "ESS", "bias", "reliable"):
        table.add_column(title, justify="left" if title == "checkpoint" else "right")
    for row in rows.to_dict("records"):
        bias = "" if pd.isna(row["step_bias"]) else f"{row['step_bias'] - 1:+.0%}"
        table.add_row(row["checkpoint"], *([f"{row['localisation']:g}"] if several else []), f"{row['step_size']:.3g}",
                      f"{row['llc']:.2f} ± {row['error']:.2f}", f"{row['low']:.2f} to {row['high']:.2f}",
                      f"{row['rhat']:.3f}", f"{row['ess']:.0f}", bias,
                      "yes" if row["reliable"] else "no")  # fmt: skip
    console.print(table)
    if not several:
        for row in rows.to_dict("records"):
            for said in (row["warnings"], row["advice"]):
                if said and isinstance(said, str):
                    say(f"{row['checkpoint']}: {said}")


def _propose(rows: pd.DataFrame, wanted: Llc) -> None:
    """Say which setting to take, for a study and for the command line."""
    from landscape.llc.calibration import obstacle, proposal

    found = proposal(rows)
    ends = rows["checkpoint"].nunique()
    if found is None:
        say(
            f"No setting is on a plateau at {'both checkpoints' if ends > 1 else 'the checkpoint'}; what is in the way "
            f"most often: {obstacle(rows)}. Give more --burn-in and --draws, or another --localisation."
        )
        return
    step, pull = found
    here = rows[(rows["step_size"] == step) & (rows["localisation"] == pull)]
    values = " and ".join(f"{row['llc']:.2f} ± {row['error']:.2f}" for row in here.to_dict("records"))
    chosen = wanted.model_copy(update={"step_size": step, "localisation": pull, "parts": 1})
    settings = "\n".join(
        f"{name} = {json.dumps(value)}" for name, value in chosen.model_dump().items()
        if name in PROPOSED or value != Llc.model_fields[name].default
    )  # fmt: skip
    say(
        f"On the plateau {'at both ends' if ends > 1 else 'here'} ({values}), at the weakest localisation that has "
        f"one; for the whole trajectory:\n\n[[measure]]\n{settings}\n\n"
        f"or: landscape llc REF... --step-size {step:g} --localisation {pull:g}, and the other options as here"
    )


def _draw(found: Coefficients, out: Path, *, calibrated: bool) -> None:
    """The map of a calibration, or the chains of every checkpoint."""
    import matplotlib as mpl

    mpl.use("Agg")

    from landscape.figures.calibration import about, calibration_map
    from landscape.figures.captions import caption
    from landscape.figures.style import note, panels, style
    from landscape.figures.traces import SMOOTH, traces
    from landscape.llc.calibration import proposal

    rows = found.frame
    groups = [part for _, part in (rows if calibrated else found.chains).groupby("checkpoint", sort=False)]
    framed = proposal(rows) if calibrated else None
    with style():
        figure, axes = panels(len(groups), size=(6.4, 4.4))
        for ax, part in zip(axes, groups, strict=True):
            if calibrated:
                calibration_map(part, framed, ax=ax)
            else:
                traces(part, ax=ax, first=ax is axes[0])
            ax.set_title(part["checkpoint"].iloc[0], fontsize=9)
        text = (
            about(rows, framed)
            if calibrated
            else f"thin: each step on its own batch; thick: running mean over {SMOOTH}"
        )
        note(axes[0], f"{text}; {caption(rows)}")
        said = save_figure(figure, out, "calibration" if calibrated else "chains")
    say(said)
