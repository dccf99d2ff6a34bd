"""``landscape llc``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click
import pandas as pd
from rich.table import Table

from landscape.cli.options import SEED, Number, data, data_options
from landscape.cli.progress import console
from landscape.cli.run import FAILED, run_now
from landscape.errors import InputError
from landscape.measures import Llc
from landscape.settings import Checkpoints
from landscape.store import Store
from landscape.study import Study

SAMPLERS = ("sgld", "rmsprop", "sgnht", "mala")


class Named(click.ParamType):  # type: ignore[type-arg]
    """A positive number, or one of some names."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.name = "|".join([*names, "NUMBER"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """The name, or the number."""
        return str(value) if value in self.names else Number(0, min_open=True).convert(value, param, ctx)


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
@click.option(
    "--step-size",
    default="auto",
    show_default=True,
    type=Named("auto"),
    metavar="auto|NUMBER",
    help="auto: from the curvature.",
)
@click.option("--extrapolate", is_flag=True, help="Run half the step too, and take the bias of the step away.")
@click.option("--parameters", help="Names of the parameters that move, such as '*.h.0.attn.*'. [default: all]")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of noise and batches.")
@click.option("--config", default="", help="Folder of config.json, for weights that have none beside them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each checkpoint.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Local learning coefficient of each checkpoint, with its error and what makes it doubtful.

    Values of checkpoints are comparable at equal n-beta, localisation and step size only; with --step-size auto that
    of each follows its own curvature.
    """
    from landscape.checkpoints import fetch, find
    from landscape.checkpoints.models import default_objective

    found = [checkpoint for ref in given["refs"] for checkpoint in find(ref, given["config"])]
    names = (
        "sampler",
        "chains",
        "draws",
        "burn_in",
        "n_beta",
        "localisation",
        "step_size",
        "extrapolate",
        "parameters",
        "seed",
    )
    settings = {name: given[name] for name in names} | {"batch": given["batch"] or "all"}
    if given["sampler"] == "mala" and given["batch"]:
        raise InputError("--sampler mala is exact on full batches only: give --batch 0")
    study = Study(
        version=1,
        name="llc",
        checkpoints=Checkpoints(folder=given["refs"][0]),
        data=data(given["text"], given["objective"] or default_objective(fetch.described(found[0])),
                  given["sequences"], given["length"]),
        measure=(Llc.model_validate({"kind": "llc", **settings}),),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        prepared, failed = run_now(study, found, given["device"], store)
        rows = store.rows("llc", [task.key for task in prepared.tasks])
    if not rows.empty:
        _show(rows)
    if given["as_json"]:
        for row in json.loads(rows.to_json(orient="records", double_precision=15)):
            click.echo(json.dumps({"table": "llc", **row}))
    if failed:
        ctx.exit(FAILED)


def _show(rows: pd.DataFrame) -> None:
    first = rows.iloc[0]
    table = Table(
        title=f"local learning coefficient: {first['sampler']}, {first['chains']} chains of {first['draws']} draws "
        f"after {first['burn_in']}, n_beta {first['n_beta']:.4g}, localisation {first['localisation']:g}",
        caption="±: Monte Carlo standard error; bias: of the step size, at most, where the step follows the curvature",
    )
    for title in ("checkpoint", "llc", "R-hat", "draws", "step", "bias", "sound"):
        table.add_column(title, justify="left" if title == "checkpoint" else "right")
    for row in rows.itertuples():
        bias = "" if pd.isna(row.step_bias) else f"{row.step_bias - 1:+.0%}"
        table.add_row(row.checkpoint, f"{row.llc:.2f} ± {row.error:.2f}", f"{row.rhat:.3f}", f"{row.ess:.0f}",
                      f"{row.step_size:.2g}", bias, "yes" if row.sound else "no")  # fmt: skip
    console.print(table)
    for row in rows.itertuples():
        if row.alarms:
            console.print(f"{row.checkpoint}: {row.alarms}", markup=False)
