"""``landscape llc``."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pandas as pd
from pydantic import ValidationError
from rich.table import Table

from landscape.cli import options
from landscape.cli.drawing import save_figure
from landscape.cli.options import SEED, Number, config_option, data, data_options
from landscape.cli.progress import console
from landscape.cli.run import FAILED, results_of, run_now, run_tasks
from landscape.errors import InputError
from landscape.study.file import Study
from landscape.study.kinds import Llc
from landscape.study.sections import Checkpoints, Data
from landscape.study.store import Store
from landscape.study.checkpoint import Checkpoint

SAMPLERS = ("sgld", "rmsprop", "sgnht", "mala")
SETTINGS = ("sampler", "chains", "draws", "burn_in", "n_beta", "localisation", "step_size", "extrapolate",
            "parameters", "mode", "keep_draws", "seed")  # fmt: skip


class Named(click.ParamType):  # type: ignore[type-arg]
    """A positive number, or one of some names."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.name = "|".join([*names, "NUMBER"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """The name, or the number."""
        if value in self.names:
            return str(value)
        try:
            return Number(0, min_open=True).convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not {', '.join(self.names)} or a positive number", param, ctx)


@click.command()
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@data_options
@click.option("--sampler", default="sgld", show_default=True, type=click.Choice(SAMPLERS))
@click.option("--chains", default=4, show_default=True, type=click.IntRange(1))
@click.option("--draws", default=200, show_default=True, type=click.IntRange(4), help="Steps that are kept.")
@click.option("--burn-in", default=200, show_default=True, type=click.IntRange(0), help="Steps that enter no number.")
@click.option("--batch", default=32, show_default=True, type=click.IntRange(0),
              help="Examples of a step, each chain its own; 0 is all of them, as mala needs.")  # fmt: skip
@click.option("--n-beta", default="log_n", show_default=True, type=Named("log_n", "log_batch"),
              metavar="log_n|log_batch|NUMBER",
              help="Factor on the mean loss: n / ln n of all examples, or of a batch, or a number.")  # fmt: skip
@click.option("--localisation", default=100.0, show_default=True, type=Number(0, min_open=True),
              help="Strength of the pull to the checkpoint.")  # fmt: skip
@click.option("--step-size", default="auto", show_default=True, type=Named("auto"), metavar="auto|NUMBER",
              help="auto: from the curvature.")  # fmt: skip
@click.option("--extrapolate", is_flag=True, help="Run half the step too, and take the bias of the step away.")
@click.option("--parameters", multiple=True,
              help="What moves, the rest being frozen: '*.h.0.attn.*', '*.wte.weight[0:16, :]', or 'head 0.3' (layer, "
              "head); may be given more than once. [default: all]")  # fmt: skip
@click.option("--mode", default="evaluation", show_default=True, type=click.Choice(["evaluation", "training"]),
              help="training: with dropout on.")  # fmt: skip
@click.option("--keep-draws", default=0, show_default=True, type=click.IntRange(0),
              help="Keep the point of every so many draws in OUT; 0 keeps none.")  # fmt: skip
@click.option(
    "--calibrate",
    is_flag=True,
    help="Try a grid of step sizes and localisations at the first and the last REF, and propose settings.",
)
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of noise and batches.")
@config_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep results here, with figures, and go on from what is there. [default: keep nothing]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each row.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Local learning coefficient of each checkpoint, with its error and what makes it unreliable.

    Values of checkpoints are comparable at equal n-beta, localisation and step size only. With --step-size auto the
    step of each follows its own curvature; --calibrate proposes one setting for a whole trajectory.
    """
    found = options.found(given["refs"], given["config"])
    from landscape.checkpoints import fetch
    from landscape.checkpoints.models import default_objective

    wanted = _wanted(given, len(found))
    texts = data(given, given["objective"] or default_objective(fetch.described(found[0])))
    with results_of(given["out"]) as folder:
        if given["calibrate"]:
            rows, failed = _calibrate(found, texts, wanted, given["device"], folder)
        else:
            rows, failed = _measure(found, texts, (wanted,), given["device"], folder)
        if not rows.empty:
            _show(rows)
            if given["out"]:
                _draw(rows, folder, given["out"], calibration=given["calibrate"])
        if given["calibrate"]:
            _propose(rows, wanted)
    if given["as_json"]:
        for row in json.loads(rows.to_json(orient="records", double_precision=15)):
            click.echo(json.dumps({"table": "llc", **row}))
    if failed:
        ctx.exit(FAILED)


def _wanted(given: dict[str, Any], checkpoints: int) -> Llc:
    """The measure of the command; with fewer checkpoints than cores, chains are cut into tasks.

    Raises:
        InputError: If options do not go together.
    """
    if given["sampler"] == "mala" and given["batch"]:
        raise InputError("--sampler mala is exact on full batches only: give --batch 0")
    if given["keep_draws"] and not given["out"]:
        raise InputError("--keep-draws needs a place for them: give --out")
    if given["calibrate"] and given["extrapolate"]:
        raise InputError("--calibrate looks for a step without bias, and --extrapolate takes it away: leave one out")
    parts = max(1, min(given["chains"], len(os.sched_getaffinity(0)) // checkpoints))
    settings = {name: given[name] for name in SETTINGS} | {"parameters": given["parameters"] or None}
    try:
        return Llc.model_validate({"kind": "llc", **settings, "batch": given["batch"] or "all", "parts": parts})
    except ValidationError as error:
        raise InputError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def _study(texts: Data, measures: tuple[Llc, ...], first: str) -> Study:
    return Study(version=1, name="llc", checkpoints=Checkpoints(folder=first), data=texts, measure=measures)


def _measure(
    found: list[Checkpoint], texts: Data, measures: tuple[Llc, ...], device: str, store: Store
) -> tuple[pd.DataFrame, dict[str, str]]:
    prepared, failed = run_now(_study(texts, measures, found[0].ref), found, device, store)
    return store.rows("llc", [task.key for task in prepared.tasks]), failed


def _calibrate(
    found: list[Checkpoint], texts: Data, wanted: Llc, device: str, store: Store
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Rows of a grid of settings at the first and the last checkpoint, the steps around what their curvature gives."""
    from landscape.llc.calibration import grid
    from landscape.llc.sampling import inverse_temperature
    from landscape.measure.prepare import prepare

    ends = [found[0], found[-1]] if len(found) > 1 else found
    auto = wanted.model_copy(update={"step_size": "auto"})
    prepared = prepare(_study(texts, (auto,), found[0].ref), store, device, (ends, []))
    store.open("llc", prepared.record)
    sharp = [task for task in prepared.tasks if task.kind == "curvature"]
    if failed := run_tasks(replace(prepared, tasks=sharp), quiet=True):
        return pd.DataFrame(), failed
    curvature = store.rows("curvature", [task.key for task in sharp])["curvature"].max()
    n_beta = inverse_temperature(wanted, prepared.session.objective.examples)
    cells = grid(float(curvature), n_beta, wanted.localisation)
    console.print(f"{len(cells)} settings at {len(ends)} checkpoint{'s' if len(ends) > 1 else ''}")
    measures = tuple(wanted.model_copy(update={"step_size": step, "localisation": pull}) for step, pull in cells)
    return _measure(ends, texts, measures, device, store)


def _show(rows: pd.DataFrame) -> None:
    first = rows.iloc[0]
    pulls = rows["localisation"].unique()
    table = Table(
        title=f"local learning coefficient: {first['sampler']}, {first['chains']} chains of {first['draws']} draws "
        f"after {first['burn_in']}, n_beta {first['n_beta']:.4g}"
        + (f", localisation {pulls[0]:g}" if len(pulls) == 1 else ""),
        caption="±: Monte Carlo standard error; ESS: effective draws; bias: what the step adds to the sharpness "
        "direction, by which the interval reaches down",
    )
    several = ["localisation"] if len(pulls) > 1 else []
    for title in ("checkpoint", *several, "step size", "llc", "95 %", "R-hat", "ESS", "bias", "reliable"):
        table.add_column(title, justify="left" if title == "checkpoint" else "right")
    for row in rows.itertuples():
        bias = "" if pd.isna(row.step_bias) else f"{row.step_bias - 1:+.0%}"
        table.add_row(row.checkpoint, *([f"{row.localisation:g}"] if several else []), f"{row.step_size:.3g}",
                      f"{row.llc:.2f} ± {row.error:.2f}", f"{row.low:.2f} to {row.high:.2f}", f"{row.rhat:.3f}",
                      f"{row.ess:.0f}", bias, "yes" if row.reliable else "no")  # fmt: skip
    console.print(table)
    if not several:
        for row in rows.itertuples():
            for said in (row.warnings, getattr(row, "advice", "")):  # rows of older results have no advice
                if said and isinstance(said, str):
                    console.print(f"{row.checkpoint}: {said}", markup=False)


def _propose(rows: pd.DataFrame, wanted: Llc) -> None:
    """Say which setting to take, as it is written in a study and on the command line."""
    from landscape.llc.calibration import obstacle, proposal

    if rows.empty:
        return
    found = proposal(rows)
    ends = rows["checkpoint"].nunique()
    if found is None:
        console.print(
            f"No setting is on a plateau at {'both checkpoints' if ends > 1 else 'the checkpoint'}; what is in the way "
            f"most often: {obstacle(rows)}. Give more --burn-in and --draws, or another --localisation.",
            markup=False,
        )
        return
    step, pull = found
    here = rows[(rows["step_size"] == step) & (rows["localisation"] == pull)]
    values = " and ".join(f"{row.llc:.2f} ± {row.error:.2f}" for row in here.itertuples())
    chosen = wanted.model_copy(update={"step_size": step, "localisation": pull, "parts": 1})
    settings = "\n".join(f"{name} = {json.dumps(value)}" for name, value in chosen.model_dump().items()
                         if name in ("kind", "step_size", "localisation", "chains", "draws", "burn_in")
                         or value != Llc.model_fields[name].default)  # fmt: skip
    console.print(
        f"On the plateau {'at both ends' if ends > 1 else 'here'} ({values}), at the weakest localisation that has "
        f"one; for the whole trajectory:\n\n[[measure]]\n{settings}\n\n"
        f"or: landscape llc REF... --step-size {step:g} --localisation {pull:g}, and the other options as here",
        markup=False,
    )


def _draw(rows: pd.DataFrame, store: Store, out: Path, *, calibration: bool) -> None:
    """The map of a calibration, or the chains of every checkpoint."""
    import matplotlib as mpl

    mpl.use("Agg")

    from landscape.cli.report import chains
    from landscape.figures.calibration import about, calibration_map
    from landscape.figures.captions import caption
    from landscape.figures.style import note, panels, style
    from landscape.figures.traces import SMOOTH, traces
    from landscape.llc.calibration import proposal

    groups = [part for _, part in (rows if calibration else chains(store, rows)).groupby("checkpoint", sort=False)]
    name = "calibration" if calibration else "chains"
    framed = proposal(rows) if calibration else None
    with style():
        figure, axes = panels(len(groups), size=(6.4, 4.4))
        for ax, part in zip(axes, groups, strict=True):
            if calibration:
                calibration_map(part, framed, ax=ax)
            else:
                traces(part, ax=ax, first=ax is axes[0])
            ax.set_title(part["checkpoint"].iloc[0], fontsize=9)
        text = (
            about(rows, framed)
            if calibration
            else f"thin: each step on its own batch; thick: running mean over {SMOOTH}"
        )
        note(axes[0], f"{text}; {caption(rows)}")
        said = save_figure(figure, out, name)
    console.print(said, markup=False)
