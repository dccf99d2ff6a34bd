"""``landscape probe``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pandas as pd
from pydantic import ValidationError
from rich.table import Table

from landscape.catalogue import OBJECTIVES, PROBES
from landscape.cli import options
from landscape.cli.drawing import save_figure
from landscape.cli.options import SEED, batches, config_option, data, data_options
from landscape.cli.progress import console
from landscape.cli.run import FAILED, results_of, run_now
from landscape.errors import InputError
from landscape.study.file import Study
from landscape.study.kinds import MOST_ITEMS, PREDICTIONS, AnyMeasure, Behaviour, Probes
from landscape.study.sections import Checkpoints, Data
from landscape.study.tasks import Checkpoint

UNREAD = 8
"""Tokens of an example that no probe looks at."""
WIDE = 4
"""Checkpoints side by side in one table."""


@click.command()
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@data_options
@click.option("--probe", "names", multiple=True, metavar="NAME",
              help="in-context, induction, ngrams, minimal-pairs, agreement, inference, linear, syntax, calibration, "
              "or harness:TASK; may be given more than once. [default: what needs no more than the text]")  # fmt: skip
@click.option(
    "--items", type=click.Path(path_type=Path), help="Your own items for the probe: a file, or a folder of them."
)
@click.option("--count", type=click.IntRange(2, MOST_ITEMS),
              help="Items to make or take; of templates, choices of words. [default: by probe]")  # fmt: skip
@click.option("--train-text", type=click.Path(path_type=Path, dir_okay=False),
              help="Text that the models were trained on, or one like it; ngrams needs it.")  # fmt: skip
@click.option("--labels", metavar="A,B,C",
              help="Classes of a classifier of sentence pairs, in the order of its outputs.")  # fmt: skip
@click.option("--pll", default="within_word_l2r", show_default=True, type=click.Choice(["within_word_l2r", "original"]),
              help="Pseudo-log-likelihood of masked models.")  # fmt: skip
@click.option("--distances", is_flag=True, help="Also how differently every two of them predict.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of what is random in the items.")
@config_option
@click.option("--all", "every", is_flag=True, help="Show every score: of each head, layer, template and paradigm.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep results here, every outcome among them, and go on from what is there. [default: keep nothing]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout for each row.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """What checkpoints can do: scores and margins of behavioural probes, with their errors.

    Items are the same for all checkpoints. Nothing is downloaded but checkpoints themselves.
    """
    found = options.found(given["refs"], given["config"])
    from landscape.checkpoints import fetch
    from landscape.checkpoints.models import default_objective

    objective = given["objective"] or default_objective(fetch.described(found[0]))
    measures = _measures(given, objective, len(found))
    with results_of(given["out"]) as store, _data(given, objective, measures) as texts:
        study = Study(
            version=1, name="probe", checkpoints=Checkpoints(folder=found[0].ref), data=texts, measure=measures
        )
        prepared, failed = run_now(study, found, given["device"], store)
        keys = [task.key for task in prepared.tasks]
        rows, distances = store.rows("probe", keys), store.rows("behaviour", keys)
        if not rows.empty:
            _show(rows, found, every=given["every"])
        for metric, part in distances.groupby("metric", sort=False) if not distances.empty else ():
            _show_distances(part, found, str(metric))
        if given["out"]:
            _draw(rows, given["out"])
    if given["as_json"]:
        for table, frame in (("probe", rows), ("behaviour", distances)):
            for row in json.loads(frame.to_json(orient="records", double_precision=15)):
                click.echo(json.dumps({"table": table, **row}))
    if failed:
        ctx.exit(FAILED)


def _measures(given: dict[str, Any], objective: str, checkpoints: int) -> tuple[AnyMeasure, ...]:
    """What is asked.

    Raises:
        InputError: If options do not go together.
    """
    if given["distances"] and checkpoints < 2:
        raise InputError("--distances are between two or more checkpoints, and there is one")
    from landscape.probes import usual_for

    for name in given["names"]:
        try:
            PROBES.require(name.partition(":")[0])
        except ValueError as error:
            raise InputError(str(error)) from error
    settings = {
        "names": given["names"] or usual_for(objective),
        **{name: given[name] for name in ("count", "pll", "seed")},
        **{name: None if given[name] is None else str(given[name]) for name in ("items", "train_text")},
        "labels": given["labels"] and tuple(part.strip() for part in given["labels"].split(",")),
    }
    try:
        probes = Probes.model_validate({"kind": "probes", **settings})
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(said.replace("a [[measure]] of its own", "a command of its own")) from error
    between = Behaviour.model_validate({"kind": "behaviour", "between": "all"})
    return (probes, between) if given["distances"] else (probes,)


@contextmanager
def _data(given: dict[str, Any], objective: str, measures: tuple[AnyMeasure, ...]) -> Generator[Data]:
    """The examples; where no probe looks at them, whatever a model of the kind can read."""
    asked = {name for measure in measures if isinstance(measure, Probes | Behaviour) for name in measure.names}
    if given["text"] is not None or any(map(_reads_text, asked)):
        yield data(given, objective)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "unread.jsonl"
        file.write_text('{"text": "one", "text_pair": "two", "label": 0}\n' * given["sequences"])
        text = str(file) if "labels" in OBJECTIVES[objective].reads else None
        yield batches({**given, "text": text, "length": UNREAD}, objective)


def _reads_text(name: str) -> bool:
    """Whether a probe reads the evaluation text; predictions are made on it."""
    return name == PREDICTIONS or "text" in PROBES[name.partition(":")[0]].reads


def _show(rows: pd.DataFrame, found: list[Checkpoint], *, every: bool) -> None:
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
        cells = {row.checkpoint: f"{row.value:.4g} {_plus_minus(row.error)}" for row in part.itertuples()}
        name = f"{metric}{' *' if part['headline'].any() else ''}"
        if wide:
            table.add_row(probe, name, subset, *(cells.get(c.ref, "failed") for c in found))
        else:
            for k, checkpoint in enumerate(found):
                before = (probe, name, subset) if k == 0 else ("", "", "")
                table.add_row(*before, checkpoint.ref, cells.get(checkpoint.ref, "failed"))
    console.print(table)
    for probe, part in rows.groupby("probe", sort=False):
        first = part.iloc[0]
        left = len(part.drop_duplicates(["metric", "subset"])) - len(
            shown[shown["probe"] == probe].drop_duplicates(["metric", "subset"])
        )
        more = f"; {left} more scores with --all" if left else ""
        console.print(f"{probe}: {first['about']}; items {first['items_hash']}{more}", markup=False)


def _plus_minus(error: float) -> str:
    return "(one item)" if pd.isna(error) else f"± {error:.2g}"


def _show_distances(rows: pd.DataFrame, found: list[Checkpoint], metric: str) -> None:
    """A matrix of one distance, its lower half."""
    words = {
        "disagreement": "disagreement of predictions (1 - kappa)",
        "divergence": "divergence of predictions (nats)",
    }
    table = Table(title=words[metric], caption=f"±: standard error over examples; {rows['items'].iloc[0]} predictions")
    table.add_column("")
    cells = {(row.a, row.b): f"{row.value:.3f} ± {row.error:.3f}" for row in rows.itertuples()}
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
    console.print(said, markup=False)
