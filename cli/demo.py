"""``landscape demo``."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from landscape.cli.drawing import open_page
from landscape.cli.frame import FAILED
from landscape.cli.progress import console, progress
from landscape.cli.report import write_report
from landscape.cli.run import run_study
from landscape.demo import PLANTED_STUDY, SHORT_STUDY, STUDY, planted
from landscape.engines import local
from landscape.engines.forks import Fork, waiting
from landscape.engines.jobs import Event
from landscape.errors import InputError, StorageError
from landscape.face.running import imported
from landscape.files import read_json, replacing
from landscape.study.file import read_study
from landscape.texts import HELD_OUT_TEXT, TRAINING_TEXT

WORLDS = {"austen": {"steps": 512, "seeds": 5}, "planted": {"steps": 1536, "seeds": 10}}
WORDS, ITEMS = 300_000, 200
"""Of the planted world: words of its text, and pairs of sentences of each part."""
SHORT: dict[str, Any] = {
    "batch": 4, "rate": 1.3e-3, "first": 8, "branches": 2, "divisors": (16, 4), "activation": "gelu_pytorch_tanh",
}  # fmt: skip
"""How the short form is trained: a quarter of the batch, at half the rate; saved from step 8 on, before which little is
learned; two branches at each of fewer fractions of training; and a GELU of one kernel."""
FIRST = "barriers.png"
"""The figure that is drawn first."""


@click.command()
@click.option("--out", default="demo", show_default=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--world", default="austen", show_default=True, type=click.Choice(list(WORLDS)), help="What is learned.")
@click.option("--steps", type=click.IntRange(8), help="Training steps of each run.  [default: 512; planted: 1536]")
@click.option("--seeds", type=click.IntRange(3), help="Independent runs.  [default: 5; planted: 10]")
@click.option("--full", is_flag=True, help="The long form, of which the README shows figures: about five minutes.")
@click.option("--open", "opened", is_flag=True, help="Open the report when it is written.")
@click.pass_context
def command(
    ctx: click.Context, out: Path, world: str, steps: int | None, seeds: int | None, full: bool, opened: bool
) -> None:
    """Train small seeds, run the whole study and write OUT/report.html.

    Five GPT-2s of 130,000 parameters learn Pride and Prejudice, and branches of the first are spawned at three
    steps (five with --full); barriers are measured on Persuasion. The barriers of the final seeds are drawn first, in
    OUT/barriers.png. About three minutes on two cores. With --world planted ten learn a made-up language whose
    parts are learned in a known order, to see whether the stages are found; ten to fifteen minutes.
    """
    usual = WORLDS[world]
    steps, seeds = steps or usual["steps"], seeds or usual["seeds"]
    _prepare(out, world, steps, seeds, full)
    study = read_study(out / "study.toml")
    imported(study)
    with waiting(2 * len(os.sched_getaffinity(0)), local.wait_for_work) as forks:
        half = len(forks) // 2
        _train(out, world, steps, seeds, full, forks[:half])
        failed = run_study(study, out, forks=forks[half:], device="cpu", workers=None)
    write_report(out)
    if opened:
        open_page(out / "report.html")
    if failed:
        ctx.exit(FAILED)


def _prepare(out: Path, world: str, steps: int, seeds: int, full: bool) -> None:
    wanted: dict[str, object] = {"steps": steps, "seeds": seeds}
    wanted |= {"world": world} if world == "planted" else {} if full else {"short": SHORT}
    mark, made = out / "demo.json", json.dumps(wanted)
    if mark.exists() and (there := _read(mark)) != (wanted := json.loads(made)):
        raise InputError(f"{out} holds a demo with {there}, and this one has {wanted}; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        if world == "planted":
            planted.write(out, WORDS, seed=1, items=ITEMS)
            shutil.copyfile(PLANTED_STUDY, out / "study.toml")
        else:
            shutil.copyfile(HELD_OUT_TEXT, out / "heldout.txt")
            shutil.copyfile(TRAINING_TEXT, out / "training.txt")
            shutil.copyfile(STUDY if full else SHORT_STUDY, out / "study.toml")
        with replacing(mark) as part:
            part.write(made.encode())
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error.strerror}; choose another --out") from error


def _read(mark: Path) -> object:
    """What a demo's folder was made with.

    Raises:
        InputError: If that cannot be read.
    """
    try:
        return read_json(mark)
    except (OSError, ValueError) as error:
        raise InputError(f"{mark} is damaged ({error}); delete it if the folder is a demo's, and run again") from error


def _train(out: Path, world: str, steps: int, seeds: int, full: bool, forks: Sequence[Fork]) -> None:
    """Train what is not there yet: the seeds, whose barriers are drawn at once, and then the branches.

    Raises:
        InputError: If a run fails.
    """
    from landscape.demo.recipe import Recipe, branches_of, folders, planted_recipe, seeds_of, start_worker

    if world == "planted":
        recipe = planted_recipe(out / "training.txt", steps)
    else:
        recipe = Recipe(steps=steps) if full else Recipe(steps=steps, **SHORT)
    folder, of_seeds = out / "checkpoints", seeds_of(seeds)
    jobs = [run for run in [*of_seeds, *branches_of(recipe)] if not folders(run, recipe, folder)[-1].exists()]
    left = {run.key for run in of_seeds} & {run.key for run in jobs}
    if jobs:
        branch_step = (
            f"; {recipe.branches} branches are spawned at each of the steps {', '.join(map(str, recipe.branch_steps))}"
        )
        console.print(f"Training {seeds} seeds in {folder}{branch_step if recipe.branches else ''}", markup=False)
    with progress("training", len(jobs)) as advance:

        def report(event: Event) -> None:
            if event.kind == "silent":
                console.print(f"{event.job.key}: {event.message}", markup=False)
                return
            advance(event.job.key)
            if event.job.key in left:
                left.remove(event.job.key)
                if not left and world == "austen" and event.kind == "done":
                    _draw(out)

        cores = len(os.sched_getaffinity(0))
        start, places = partial(start_worker, recipe, folder), ("cpu",) * cores
        failed = local.run(jobs, start, report, devices=places, cost=None, forks=forks)
    if failed:
        raise InputError(f"training failed: {next(iter(failed.values()))}; run again to go on")


def _draw(out: Path) -> None:
    """Measure the barriers between the final seeds, and draw their matrix."""
    if (out / FIRST).exists():
        return
    import matplotlib.pyplot as plt

    from landscape.checkpoints import expand
    from landscape.face.barriers import measure
    from landscape.face.inputs import Models
    from landscape.figures.matrix import barrier_matrix
    from landscape.study.kinds.barriers import Barriers

    study = read_study(out / "study.toml")
    every = expand(str(study.checkpoints.folder), {})
    last = max(checkpoint.step or 0 for checkpoint in every)
    found = tuple(checkpoint for checkpoint in every if checkpoint.step == last)
    rows = measure(Models(found, study.data, "cpu"), Barriers()).frame
    chord = rows[rows["definition"] == "chord"]
    barrier_matrix(chord, ax=plt.figure(figsize=(5, 4), layout="compressed").subplots())
    with replacing(out / FIRST) as part:
        plt.savefig(part, format="png", dpi=150)
    plt.close()
    mean, least, most = (float(getattr(chord["barrier"], how)()) for how in ("mean", "min", "max"))
    what = f"Barriers between the seeds at step {last}: {least:.2f} to {most:.2f} nats per token, mean {mean:.2f}"
    console.print(f"{what}; see {out / FIRST}", markup=False)
