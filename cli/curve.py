"""``landscape curve``."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from landscape.cli import options
from landscape.cli.options import (
    SEED,
    Number,
    checked,
    config_option,
    data,
    data_options,
    grid_options,
    matching,
    require_grid,
    saved,
    symmetry_options,
)
from landscape.cli.progress import console, progress
from landscape.errors import InputError
from landscape.study.tasks import AUTO
from landscape.texts import TRAINING_TEXT

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from landscape.measure.curves import Wanted
    from landscape.objectives import Objective
    from landscape.study.sections import Data


@click.command()
@click.argument("a")
@click.argument("b")
@data_options
@click.option("--train-text", type=click.Path(path_type=Path, dir_okay=False),
              help="Text to fit on; must not be that of --text. [default: the other packaged novel]")  # fmt: skip
@click.option("--train-sequences", default=1024, show_default=True, type=click.IntRange(2), help="Training examples.")
@click.option("--kind", default="bezier", show_default=True, type=click.Choice(["bezier", "polychain"]))
@click.option("--bends", default=1, show_default=True, type=click.IntRange(1, 8), help="Anchors between the ends.")
@click.option("--steps", default=600, show_default=True, type=click.IntRange(1), help="Optimizer steps.")
@click.option("--batch", default=32, show_default=True, type=click.IntRange(1), help="Examples of a step.")
@click.option("--parts", default=2, show_default=True, type=click.IntRange(1),
              help="Positions of t in a step; 1 is Garipov et al.'s.")  # fmt: skip
@click.option("--rate", default=2e-3, show_default=True, type=Number(0, min_open=True), help="Learning rate.")
@click.option("--decay", default=0.0, show_default=True, type=Number(0), help="Decay of the sampled point.")
@grid_options
@symmetry_options("none")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of batches and positions.")
@click.option("--control/--no-control", default=True, show_default=True,
              help="Also bend a path from A to a random point as far away as B, with the same budget.")  # fmt: skip
@click.option("--out", default="curve", show_default=True, type=click.Path(path_type=Path, file_okay=False))
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout: barrier and profile rows.")
def command(**given: Any) -> None:
    """Learn a curve of low loss from checkpoint A to B, and judge it on held-out text.

    Its file is OUT/curve.safetensors, its bends are the folders OUT/bend_1, ... and, with symmetries taken out, its
    ends OUT/end_a and OUT/end_b. A fit that was stopped goes on when the command is run again.
    """
    one, two = _two(given["a"], given["b"], given["config"])
    import torch

    from landscape.checkpoints import fetch, models
    from landscape.measure import curves
    from landscape.measure.prepare import on
    from landscape.paths import fit
    from landscape.points import gradients, strategy
    from landscape.profile.adaptive import Grid
    from landscape.session import data as fixed
    from landscape.session.buffers import Buffers

    require_grid(given["points"], given["halfwidth"])
    if given["text"] and not given["train_text"]:
        raise InputError("--text is what the curve is judged on; give --train-text too, another text to fit it on")
    contents: tuple[str, ...] = fetch.content(one), fetch.content(two)
    if contents[0] == contents[1]:
        raise InputError(f"{given['a']} and {given['b']} hold the same weights; a curve joins two checkpoints")
    kind = given["objective"] or models.default_objective(fetch.described(one))
    held = data(given, kind)
    train = held.model_copy(
        update={"text": str(given["train_text"] or TRAINING_TEXT), "sequences": given["train_sequences"]}
    )
    if fixed.read_text(held) == fixed.read_text(train):
        raise InputError(
            "--text and --train-text are the same text; a curve must be judged on text it was not fitted on"
        )
    device = on(given["device"])
    judged, ends, more = _ends(given, one, two, held, device)
    contents = (*contents, *more)
    fitted = fixed.build(train, one, untied=not judged.space.tied).to(device)
    Buffers.of(fitted.model).give_common([one, two], "a learned curve", fitted.model, judged.model)
    recipe = fit.FitSettings(given["kind"], given["bends"], given["steps"], given["batch"], given["parts"],
                             given["rate"], given["decay"])  # fmt: skip
    names = (*contents, fixed.fingerprint(train, one), str(given["seed"]))
    if device.type == "cpu":
        some = torch.arange(min(recipe.batch, fitted.examples))
        strategy.choose_threads(lambda: gradients.value_and_grad(fitted, ends[0], some), recipe.steps)
    wanted = curves.Wanted(given["out"] / "curve.safetensors", names, recipe, given["seed"])
    anchors = {"linear": ends, recipe.kind: _learn(fitted, ends, wanted, "curve")}
    _save(given["out"], fetch.described(one), judged, anchors[recipe.kind], ends=given["symmetry"] != "none")
    if given["control"]:
        other = replace(wanted, file=given["out"] / "control.safetensors", ends=(*names, curves.CONTROL))
        anchors[curves.CONTROL] = _learn(fitted, fit.controls(ends.cpu(), given["seed"]).to(device), other, "control")
    rows = {}
    see, grid = curves.looking(judged), Grid(given["points"], halfwidth=given["halfwidth"])
    for name, points in anchors.items():
        kind = "linear" if name == "linear" else recipe.kind
        _, rows[name], profile = curves.judge(see, list(points), kind, grid, judged.examples)
        if given["as_json"]:
            for row in [*rows[name], *profile]:
                click.echo(json.dumps({**row, "a": given["a"], "b": given["b"], "path": name, "unit": judged.unit}))
    _show(rows, judged.unit)
    if given["halfwidth"] is not None:
        chords = [next(row for row in found if row["definition"] == "chord") for found in rows.values()]
        console.print(saved(chords, judged.examples, given["halfwidth"]), markup=False)


def _ends(
    given: dict[str, Any], one: Any, two: Any, held: Data, device: torch.device
) -> tuple[Objective, Tensor, tuple[str, ...]]:
    """The objective, both ends, matched if wanted, and what beside their contents decides them."""
    import torch

    from landscape.checkpoints import fetch, models
    from landscape.measure import match
    from landscape.points import evaluate, strategy
    from landscape.session import agree
    from landscape.session import data as fixed

    judged = fixed.build(held, one).to(device)
    fixed.require_one_architecture([one, two], judged)
    for warning in agree.warnings(held, [one, two], judged):
        console.print(f"warning: {warning}", markup=False)
    ends = torch.stack([models.load(fetch.weights(c), judged.model) for c in (one, two)]).to(device)
    how, symmetry = matching(given, [given["symmetry"]], held), given["symmetry"]
    if symmetry == "none":
        return judged, ends, ()
    if device.type == "cpu":
        few = judged.take(torch.arange(min(16, judged.examples)))
        once = partial(evaluate.losses, few, ends[:1], torch.ones(1, 1), strategy=strategy.Strategy())
        strategy.choose_threads(once, AUTO * judged.examples // few.examples)
    judged, ends, found = match.pair(one, held, how, symmetry, judged, ends)
    for line in checked([found]):
        console.print(line, markup=False)
    return judged, ends, (json.dumps({**how.settings(symmetry), "text": how.text}),)


def _two(a: str, b: str, config: str) -> list[Any]:
    from landscape.checkpoints import fetch

    found = [options.found([ref], config) for ref in (a, b)]
    for ref, checkpoints in zip((a, b), found, strict=True):
        if len(checkpoints) != 1:
            raise InputError(f"{ref} is {len(checkpoints)} checkpoints; a curve joins one to one")
    return [fetch.pinned(checkpoints[0]) for checkpoints in found]


def _learn(objective: Objective, ends: Tensor, wanted: Wanted, title: str) -> Tensor:
    from landscape.measure import curves

    with progress(f"fitting the {title}", wanted.recipe.steps) as advance:

        def report(step: int, loss: float) -> None:
            advance(f"step {step + 1}, loss {loss:.3f}")

        return curves.learn(objective, ends[None], [wanted], report)[0]


def _save(out: Path, folder: Path, objective: Objective, anchors: Tensor, *, ends: bool) -> None:
    """Each bend as a folder that ``from_pretrained`` loads, with the config and tokenizer of the first end.

    Matched ends, which are no folders yet, likewise.
    """
    from landscape.checkpoints import saving

    names = ["end_a", *(f"bend_{number}" for number in range(1, len(anchors) - 1)), "end_b"]
    for name, point in zip(names, anchors, strict=True):
        if ends or name.startswith("bend"):
            saving.write(out / name, point, objective.model, folder)


def _show(rows: dict[str, list[dict[str, Any]]], unit: str) -> None:
    chord = {name: next(row for row in found if row["definition"] == "chord") for name, found in rows.items()}
    examples = max(row["examples"] for row in chord.values())
    errors = [row["t_error"] for row in chord.values() if row["t_error"] is not None]
    error = f"within {max(errors):.1g}" if errors else "not known on a fixed grid"
    table = Table(
        title=f"chord barrier ({unit}), on {examples} held-out examples",
        caption=f"in brackets 95 % intervals; ±: standard error, paired; between the points of t: {error}",
    )
    for title in (
        "path",
        "barrier",
        "loss increase from the better end",
        "mean loss increase",
        "largest loss",
        "mean loss",
        "by arc length",
        "length",
    ):
        table.add_column(title, justify="left" if title == "path" else "right")
    for name, row in chord.items():
        values = (
            f"{row[k]:.3f} ± {row[f'{k}_error']:.3f}"
            for k in ("loss_increase", "mean_loss_increase", "largest_loss", "mean_loss", "arc_mean_loss")
        )
        table.add_row(
            "to a random point" if name == "control" else name,
            f"{row['barrier']:.3f} [{row['low']:.3f}, {row['high']:.3f}]", *values, f"{row['path_length']:.2f}",
        )  # fmt: skip
    console.print(table)
