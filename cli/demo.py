"""``landscape demo``."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path

import click

from landscape.cli.progress import console, progress
from landscape.cli.report import write_report
from landscape.cli.run import FAILED, run_study
from landscape.demo import HELD_OUT_TEXT, PLANTED_STUDY, STUDY, TRAINING_TEXT, planted
from landscape.engines import local
from landscape.errors import InputError, StorageError
from landscape.files import read_json, replacing
from landscape.study import read_study

WORLDS = {"austen": {"steps": 512, "seeds": 5}, "planted": {"steps": 1536, "seeds": 10}}
WORDS, ITEMS = 300_000, 200
"""Of the planted world: words of its text, and pairs of sentences of each part."""


@click.command()
@click.option("--out", default="demo", show_default=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--world", default="austen", show_default=True, type=click.Choice(list(WORLDS)), help="What is learned.")
@click.option("--steps", type=click.IntRange(8), help="Training steps of each run.  [default: 512; planted: 1536]")
@click.option("--seeds", type=click.IntRange(2), help="Independent runs.  [default: 5; planted: 10]")
@click.pass_context
def command(ctx: click.Context, out: Path, world: str, steps: int | None, seeds: int | None) -> None:
    """Train small seeds, run the whole study and write OUT/report.html.

    Five GPT-2s of 130,000 parameters learn Pride and Prejudice, and pairs of children part from the first of
    them at six steps; barriers are measured on Persuasion. About ten minutes on two cores. With --world planted ten of
    them learn a made-up language whose parts are learned in a known order, to see whether the stages are found; ten
    to fifteen minutes.
    """
    usual = WORLDS[world]
    steps, seeds = steps or usual["steps"], seeds or usual["seeds"]
    _prepare(out, world, steps, seeds)
    failed = _train(out, world, steps, seeds)
    if failed:
        raise InputError(f"training failed: {next(iter(failed.values()))}; run again to go on")
    failed = run_study(read_study(out / "study.toml"), out, device="cpu", workers=None)
    write_report(out)
    if failed:
        ctx.exit(FAILED)


def _prepare(out: Path, world: str, steps: int, seeds: int) -> None:
    wanted = {"steps": steps, "seeds": seeds} | ({} if world == "austen" else {"world": world})
    mark = out / "demo.json"
    if mark.exists() and (there := _read(mark)) != wanted:
        raise InputError(f"{out} holds a demo with {there}, and this one has {wanted}; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        if world == "planted":
            planted.write(out, WORDS, seed=1, items=ITEMS)
            shutil.copyfile(PLANTED_STUDY, out / "study.toml")
        else:
            shutil.copyfile(HELD_OUT_TEXT, out / "heldout.txt")
            shutil.copyfile(TRAINING_TEXT, out / "training.txt")
            shutil.copyfile(STUDY, out / "study.toml")
        with replacing(mark) as part:
            part.write(json.dumps(wanted).encode())
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


def _train(out: Path, world: str, steps: int, seeds: int) -> dict[str, str]:
    from landscape.demo.train import Recipe, folders, hire, planted_recipe, runs

    recipe = planted_recipe(out / "training.txt", steps) if world == "planted" else Recipe(steps=steps)
    folder = out / "checkpoints"
    jobs = [run for run in runs(recipe, seeds) if not folders(run, recipe, folder)[-1].exists()]
    if not jobs:
        return {}
    children = f" and {len(recipe.partings)} groups of children" if recipe.children else ""
    console.print(f"Training {seeds} seeds{children} in {folder}", markup=False)
    with progress("training", len(jobs)) as advance:

        def report(event: local.Event) -> None:
            if event.kind == "silent":
                console.print(f"{event.job.key}: {event.message}", markup=False)
            else:
                advance(event.job.key)

        return local.run(jobs, partial(hire, recipe, folder), report, workers=len(os.sched_getaffinity(0)))
